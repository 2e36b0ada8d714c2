package dash

import (
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/creack/pty"
)

// TestAsksNothingOfATerminal: a program with the dashboard in it that does not
// show it writes nothing to its terminal. With the library's own init it would.
func TestAsksNothingOfATerminal(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"DASH_TEST_QUIET=1", "TERM=xterm-256color"} // without CI, which would keep it quiet anyhow
	master, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	said, _ := io.ReadAll(master) // its end is an error on Linux
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if string(said) != "quiet\r\n" {
		t.Errorf("it says %q", said)
	}
}
