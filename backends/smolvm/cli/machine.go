package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// State of a machine, as smolvm names it.
type State string

// States of a machine.
const (
	Created State = "created"
	Running State = "running"
	Stopped State = "stopped"
	Failed  State = "failed"
	// Unreachable: its process lives, and what is inside does not answer. A
	// start kills and boots it.
	Unreachable State = "unreachable"
	// Frozen: other machines were forked from it. Not made by bb.
	Frozen State = "frozen"
)

// Known reports whether bb knows what to do with the state.
func (s State) Known() bool {
	return slices.Contains([]State{Created, Running, Stopped, Failed, Unreachable, Frozen}, s)
}

// Machine is what `ls --json` and `status --json` say about a machine.
type Machine struct {
	Name      string
	State     State
	Labels    map[string]string // never nil
	PID       int               // of the process on this machine; 0 means none
	CPUs      int
	Memory    int64  // MiB
	Storage   int    // GiB; 0 means smolvm's default
	Overlay   int    // GiB; 0 means smolvm's default
	Image     string // "local:SHA256", "local-dir:PATH", a reference, or ""
	CreatedAt time.Time
	// Mounts and Ports count directories of this machine that are lent to it,
	// and its ports that are open here. Nil means that nothing is known.
	Mounts, Ports *int
	// Network is nil where the output does not say: then nothing is known.
	Network *bool
}

// ParseList reads `ls --json`, sorted by name. Keys that it does not know may
// be there; a name, a state and labels of another shape are errors.
func ParseList(out []byte) ([]Machine, error) {
	var raw []map[string]json.RawMessage
	if err := decode(out, &raw); err != nil {
		return nil, err
	}
	if raw == nil {
		return nil, errors.New("null instead of a list of machines")
	}
	machines := make([]Machine, 0, len(raw))
	for _, r := range raw {
		m, err := machine(r)
		if err != nil {
			return nil, err
		}
		machines = append(machines, m)
	}
	slices.SortFunc(machines, func(a, b Machine) int { return cmp.Compare(a.Name, b.Name) })
	for i := range machines {
		if i > 0 && machines[i].Name == machines[i-1].Name {
			return nil, fmt.Errorf("two machines of the name %q", clip(machines[i].Name, 140))
		}
	}
	return machines, nil
}

// ParseMachine reads `status --json`.
func ParseMachine(out []byte) (Machine, error) {
	var raw map[string]json.RawMessage
	if err := decode(out, &raw); err != nil {
		return Machine{}, err
	}
	return machine(raw)
}

// errCut says that an output ends too early.
var errCut = errors.New("the output ends in the middle")

func decode(out []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(out))
	err := d.Decode(to)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	if err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

func machine(raw map[string]json.RawMessage) (Machine, error) {
	m := Machine{Labels: map[string]string{}}
	for _, f := range []struct {
		key string
		to  any
	}{{"name", &m.Name}, {"state", &m.State}} {
		if err := json.Unmarshal(raw[f.key], f.to); err != nil || string(raw[f.key]) == "null" {
			return Machine{}, fmt.Errorf("a machine has no usable %s", f.key)
		}
	}
	if m.Name == "" || m.State == "" {
		return Machine{}, errors.New("a machine has no name or no state")
	}
	if labels, ok := raw["labels"]; ok && string(labels) != "null" {
		if err := json.Unmarshal(labels, &m.Labels); err != nil {
			return Machine{}, fmt.Errorf("the labels of machine %q are no names and values", clip(m.Name, 140))
		}
	}
	// What only informs may change its shape without harm.
	var created int64
	m.PID, m.CPUs = lenient[int](raw["pid"]), lenient[int](raw["cpus"])
	m.Memory, created = lenient[int64](raw["memory_mib"]), lenient[int64](raw["created_at"])
	m.Storage, m.Overlay = lenient[int](raw["storage_gb"]), lenient[int](raw["overlay_gb"])
	m.Image, m.Network = lenient[string](raw["image"]), lenient[*bool](raw["network"])
	m.Mounts, m.Ports = lenient[*int](raw["mounts"]), lenient[*int](raw["ports"])
	if created > 0 {
		m.CreatedAt = time.Unix(created, 0).UTC()
	}
	return m, nil
}

func lenient[T any](raw json.RawMessage) T {
	var v T
	if len(raw) == 0 || json.Unmarshal(raw, &v) != nil {
		var zero T
		return zero
	}
	return v
}
