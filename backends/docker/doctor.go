package docker

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/system"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/diag"
)

var _ backends.Doctor = (*Driver)(nil)

// Doctor examines the engine. Without one, that is all there is to say.
func (d *Driver) Doctor(ctx context.Context) []backends.Finding {
	reach, cancel := context.WithTimeout(ctx, d.at.patience())
	defer cancel()
	v, err := d.engine.ServerVersion(reach)
	if err != nil {
		return []backends.Finding{failure("engine", d.noEngine(err))}
	}
	e := examination{}
	e.add("engine", backends.StatusOK, "", "docker %s, API %s, %s/%s, at %s", v.Version, v.APIVersion, v.Os, v.Arch, d.at)
	e.engine(v)
	if why := d.at.exposed(); why != "" {
		e.add("transport", backends.StatusWarn, "use ssh://, or tcp:// with certificates", "the engine at %s %s", d.at, why)
	}
	info, err := d.engine.Info(ctx)
	if err != nil {
		e.list = append(e.list, failure("engine", d.wrap(err, "ask the engine about itself")))
		return e.list
	}
	e.versions(v, info)
	e.confinement(info)
	e.storage(info, d.local())
	e.list = append(e.list, d.examineBase(ctx), d.examineBinary(v.Arch), d.examinePipelock(v.Arch))
	return e.list
}

// examination collects findings. What the engine says is made printable.
type examination struct{ list []backends.Finding }

func (e *examination) add(check string, status backends.Status, hint, format string, args ...any) {
	e.list = append(e.list, backends.Finding{
		Check: check, Status: status, Hint: hint, Message: guest.Printable(fmt.Sprintf(format, args...)),
	})
}

// failure keeps the hint of an error.
func failure(check string, err error) backends.Finding {
	f := backends.Finding{Check: check, Status: backends.StatusFail, Message: err.Error()}
	var known diag.Diagnostic
	if errors.As(err, &known) && known.Error() == f.Message {
		f.Message, f.Hint = known.Message, known.Hint
	}
	return f
}

// oldest is the first version that bb was tried on.
const oldest = "20.10.0"

func (e *examination) engine(v types.Version) {
	if v.Os != "linux" {
		e.add("engine", backends.StatusFail, "switch it to linux containers", "it runs %s containers", v.Os)
	}
	has, ok := parseVersion(v.Version)
	if least, _ := parseVersion(oldest); ok && has.compare(least) < 0 {
		e.add("engine", backends.StatusFail, "update it", "docker %s is older than 20.10", v.Version)
	}
}

var desktopVersion = regexp.MustCompile(`^Docker Desktop (\d+\.\d+\.\d+)`)

// versions compares with those that are known to be dangerous. A warning and
// no failure: distributions mend programs without another version.
func (e *examination) versions(v types.Version, info system.Info) {
	has := map[string]string{"engine": v.Version}
	if m := desktopVersion.FindStringSubmatch(v.Platform.Name); m != nil {
		has["desktop"] = m[1]
	}
	for _, c := range v.Components {
		has[c.Name] = c.Version
	}
	for _, program := range []string{"engine", "desktop", "runc", "containerd"} {
		text, bad := has[program], 0
		for _, known := range dangers {
			if known.program == program && known.affects(text) {
				bad++
				e.add(program, backends.StatusWarn,
					"update to "+strings.Join(known.fixed, ", ")+" or newer; a distribution may have mended it under this version, see its changelog",
					"%s %s: %s", program, text, known.what)
			}
		}
		if bad == 0 && text != "" && program != "engine" {
			e.add(program, backends.StatusOK, "", "%s %s", program, text)
		}
	}
	if info.DefaultRuntime != "" && info.DefaultRuntime != "runc" {
		e.add("runtime", backends.StatusOK, "", "the default runtime is %s", info.DefaultRuntime)
	}
	if _, ok := info.Runtimes["runsc"]; ok {
		e.add("runtime", backends.StatusOK, "", "runsc is there: BB_RUNTIME=runsc runs agents on a kernel of their own")
	}
}

// confinement asks for what the walls of a bottle are made of.
func (e *examination) confinement(info system.Info) {
	options := map[string]bool{}
	for _, o := range info.SecurityOptions {
		name, _, _ := strings.Cut(strings.TrimPrefix(o, "name="), ",")
		options[name] = true
	}
	if options["seccomp"] {
		e.add("seccomp", backends.StatusOK, "", "the engine takes seccomp profiles")
	} else {
		e.add("seccomp", backends.StatusFail, "use a kernel and an engine with seccomp", "the engine has no seccomp: a bottle would see the whole kernel")
	}
	var missing []string
	for name, there := range map[string]bool{"memory": info.MemoryLimit, "processors": info.CPUCfsQuota, "processes": info.PidsLimit} {
		if !there || info.CgroupDriver == "none" {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	switch {
	case len(missing) > 0:
		e.add("cgroups", backends.StatusWarn, "a rootless engine needs cgroup v2 with delegated controllers; others need the kernel's",
			"the engine cannot limit %s: one bottle can starve the machine", strings.Join(missing, ", "))
	default:
		e.add("cgroups", backends.StatusOK, "", "limits hold (cgroup v%s, %s)", info.CgroupVersion, info.CgroupDriver)
	}
	switch {
	case options["rootless"]:
		e.add("users", backends.StatusOK, "", "the engine is rootless: a way out of a bottle ends at your own user")
	case options["userns"]:
		e.add("users", backends.StatusOK, "", "users of containers are mapped to powerless ones (userns-remap)")
	default:
		e.add("users", backends.StatusOK, "", "uid 1000 of a bottle is uid 1000 of the machine; it has no capability")
	}
	for _, w := range info.Warnings {
		if strings.Contains(w, "bridge-nf-call") || strings.Contains(w, "blkio") {
			continue // nothing that a bottle has to do with
		}
		e.add("engine", backends.StatusWarn, "", "the engine says: %s", strings.TrimPrefix(w, "WARNING: "))
	}
}

// leastFree is about what the first images and their build take.
const leastFree = 3 << 30

func (e *examination) storage(info system.Info, local bool) {
	text := info.Driver
	for _, s := range info.DriverStatus {
		if s[0] == "Backing Filesystem" {
			text += " on " + s[1]
		}
	}
	switch info.Driver {
	case "vfs":
		e.add("storage", backends.StatusWarn, "give it overlay2", "storage driver vfs copies every image for every bottle")
	case "aufs", "overlay", "devicemapper":
		e.add("storage", backends.StatusWarn, "change to overlay2; images are built again", "storage driver %s is gone from newer engines", info.Driver)
	default:
		e.add("storage", backends.StatusOK, "", "storage driver %s", text)
	}
	// The API has no word for it; on this machine the system has.
	if !local || runtime.GOOS != "linux" {
		return
	}
	var fs syscall.Statfs_t
	if syscall.Statfs(info.DockerRootDir, &fs) != nil {
		return
	}
	free := int64(fs.Bavail) * int64(fs.Bsize) //nolint:unconvert // other systems have other types
	status, hint := backends.StatusOK, ""
	if free < leastFree {
		status, hint = backends.StatusWarn, "'docker system df' shows what takes it"
	}
	e.add("disk", status, hint, "%.1f GiB free in %s", float64(free)/(1<<30), info.DockerRootDir)
}

// examineBase asks whether bb's own images can be built.
func (d *Driver) examineBase(ctx context.Context) backends.Finding {
	const check = "base_image"
	ref := d.opts.BaseImage
	id, err := d.imageID(ctx, ref)
	switch {
	case err != nil:
		return failure(check, err)
	case id != "":
		return backends.Finding{Check: check, Status: backends.StatusOK, Message: ref + " is there"}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := d.engine.DistributionInspect(ctx, ref, ""); err != nil {
		return failure(check, diag.Errorf("%s is not on the engine and cannot be pulled: %s", ref, tidy(err.Error())).
			WithHint("'make base-image' makes one from Debian packages; BB_BASE_IMAGE names another"))
	}
	return backends.Finding{Check: check, Status: backends.StatusOK, Message: ref + " is not there yet; the engine can pull it"}
}

func (d *Driver) examineBinary(arch string) backends.Finding {
	const check = "sidecar_binary"
	b, err := d.binaryID()
	if err != nil {
		return failure(check, err)
	}
	if b.arch != arch {
		return failure(check, diag.Errorf("%s is for %s, the engine runs %s", d.opts.Binary, b.arch, arch).
			WithHint("pass a bb for linux/%s with --sidecar-binary", arch))
	}
	return backends.Finding{Check: check, Status: backends.StatusOK, Message: d.opts.Binary + " is static and for linux/" + b.arch}
}
