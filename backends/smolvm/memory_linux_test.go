package smolvm

import (
	"os"
	"testing"

	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/engine/spec"
)

func TestMemory(t *testing.T) {
	d := &Driver{opts: Options{Dir: t.TempDir()}}
	id := spec.ID{Scope: "0123456789abcdef", Agent: "dev", Replica: "1"}
	for _, tt := range []struct {
		name string
		pid  int // 0: nothing is marked
		most int64
	}{{"never started", 0, 0}, {"this process", os.Getpid(), 1 << 40}, {"ended", 1 << 22, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.pid != 0 {
				if err := d.markReady(cli.Machine{Name: id.Name(), PID: tt.pid}); err != nil {
					t.Fatal(err)
				}
			}
			n, err := d.Memory(t.Context(), id)
			if err != nil || n > tt.most || tt.most > 0 && n < 1<<20 {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
}
