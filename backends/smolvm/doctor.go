package smolvm

import (
	"context"
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/engine/diag"
)

var _ backends.Doctor = (*Driver)(nil)

// Doctor says whether machines could run here. It boots none: that one does
// boot is known where one of bb's runs, and where its last start failed, the
// machine's state tells.
func (d *Driver) Doctor(ctx context.Context) []backends.Finding {
	var list []backends.Finding
	c, err := d.client(ctx)
	if err != nil {
		list = append(list, failure("smolvm", err))
	} else {
		list = append(list, backends.Finding{Check: "smolvm", Status: backends.StatusOK, Message: "smolvm " + c.Version.String() + " at " + c.Path})
	}
	if runtime.GOOS == "linux" {
		list = append(append(list, virtualisation(kvmPath)), ofRoot(os.Geteuid(), d.opts.Dir)...)
	}
	var machines []cli.Machine
	if c != nil {
		ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		if machines, err = c.List(ctx); err != nil {
			list = append(list, failure("machines", err))
		} else {
			list = append(list, boots(machines))
		}
	}
	return append(list, d.gates(ctx, machines)...)
}

const kvmPath = "/dev/kvm"

// ofRoot: smolvm (seen with 1.32.2) runs the machines of root as a user who has
// nothing, also not the way to what bb lends to a machine.
func ofRoot(uid int, dir string) []backends.Finding {
	if uid != 0 {
		return nil
	}
	return []backends.Finding{{
		Check: "user", Status: backends.StatusWarn, Message: "bb runs as root, whose machines smolvm runs as another user: that one may not reach " + dir,
		Hint: "run bb as a user of its own who may open " + kvmPath,
	}}
}

// virtualisation: the device is there, and this user may open it.
func virtualisation(path string) backends.Finding {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case err == nil:
		_ = f.Close()
		return backends.Finding{Check: "kvm", Status: backends.StatusOK, Message: path + " can be opened"}
	case errors.Is(err, os.ErrNotExist):
		return backends.Finding{
			Check: "kvm", Status: backends.StatusFail, Message: path + " is missing: this machine runs no virtual machines",
			Hint: "turn virtualisation on (firmware, or the outer hypervisor) and load the module kvm, or use backend: docker",
		}
	case errors.Is(err, os.ErrPermission):
		return backends.Finding{
			Check: "kvm", Status: backends.StatusFail, Message: path + " is not writable for you",
			Hint: "join its group ('usermod -aG kvm $USER'), then log in again",
		}
	}
	return backends.Finding{
		Check: "kvm", Status: backends.StatusFail, Message: path + ": " + diag.Cause(err).Error(),
		Hint: "virtualisation is there and does not work: use backend: docker",
	}
}

// boots judges by the machines that there are.
func boots(machines []cli.Machine) backends.Finding {
	failed := ""
	for _, m := range machines {
		switch m.State {
		case cli.Running:
			return backends.Finding{Check: "boot", Status: backends.StatusOK, Message: "a machine runs: " + m.Name}
		case cli.Failed, cli.Unreachable:
			failed = m.Name + " is " + string(m.State)
		}
	}
	if failed != "" {
		return backends.Finding{
			Check: "boot", Status: backends.StatusWarn, Message: "no machine runs, and " + failed,
			Hint: "virtualisation may be there without a machine booting (nested hypervisors): 'smolvm machine run -- true' tells",
		}
	}
	return backends.Finding{
		Check: "boot", Status: backends.StatusWarn, Message: "that a machine boots here is not known: none runs",
		Hint: "'smolvm machine run -- true' tells",
	}
}

func failure(check string, err error) backends.Finding {
	f := backends.Finding{Check: check, Status: backends.StatusFail, Message: err.Error()}
	var d diag.Diagnostic
	if errors.As(err, &d) {
		f.Message, f.Hint = d.Message, d.Hint
	}
	return f
}
