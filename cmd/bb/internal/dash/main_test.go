package dash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The test binary plays a dashboard over a world of its own, in a real terminal,
// as bb does: one process guards, another draws.
func TestMain(m *testing.M) {
	switch dir := os.Getenv("DASH_TEST_HOME"); {
	case os.Getenv("DASH_TEST_QUIET") != "":
		fmt.Println("quiet")
	case dir == "":
		code := m.Run()
		if usedBB {
			if at, err := built(); err == nil {
				_ = os.RemoveAll(at)
			}
		}
		os.Exit(code)
	case len(os.Args) > 1 && os.Args[1] == "screen":
		os.Exit(draws(dir))
	default:
		self, err := os.Executable()
		if err == nil {
			var code int
			if code, err = Guard(exec.Command(self, "screen"), os.Stdin, os.Stdout, os.Stderr, filepath.Join(dir, "logs", "crash.log")); err == nil {
				os.Exit(code)
			}
		}
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func draws(dir string) int {
	if err := Guarded(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	w := fleet()
	if script := os.Getenv("DASH_TEST_DOES"); script != "" {
		w.does = sh(script)
	}
	said, err := Run(context.Background(), Options{
		Source: &breaking{world: w}, In: os.Stdin, Out: os.Stdout, Logs: filepath.Join(dir, "logs"), Plain: true,
		now: func() time.Time { return noon },
	})
	fmt.Fprintln(os.Stderr, "said", strings.Join(said, "|"))
	if err != nil && !errors.Is(err, context.Canceled) {
		return 1
	}
	return 0
}

// breaking panics at its second look, if it is told to, in one of the ways that
// there are.
type breaking struct {
	*world
	looks atomic.Int32
}

func (b *breaking) Look(ctx context.Context) (Snapshot, error) {
	if b.looks.Add(1) > 1 {
		switch os.Getenv("DASH_TEST_PANIC") {
		case "look":
			panic("a forced \x1b[31mpanic")
		case "goroutine":
			go func() { panic("a forced panic of nobody's") }()
			time.Sleep(time.Minute)
		case "error":
			go func() { panic(errors.New("a forced panic\nof two lines")) }()
			time.Sleep(time.Minute)
		case "map":
			m := map[int]int{}
			for range 4 {
				go func() {
					for i := 0; ; i++ {
						m[i%9]++
					}
				}()
			}
			time.Sleep(time.Minute)
		}
	}
	return b.world.Look(ctx)
}
