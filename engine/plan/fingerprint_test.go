package plan_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/plan/plantest"
	"github.com/bot-bottle/bb/engine/spec"
)

// full is a desire and an instance of it with every field set.
func full() (*spec.Spec, plan.Instance) {
	s := plantest.Spec("dev")
	fill(reflect.ValueOf(s).Elem())
	s.ID = spec.ID{Scope: plantest.Home, Agent: "dev", Replica: "1"}
	s.Backend = "docker"
	i := plantest.Running(plantest.Spec("dev"))
	fill(reflect.ValueOf(i.Agent).Elem())
	fill(reflect.ValueOf(i.Sidecar).Elem())
	i.Agent.Running = false // so that there is a change whatever else is there
	return s, i
}

// amendment is the one field of a spec that no desire has: see spec.Amend.
func amendment(t reflect.Type, field int) bool {
	return t == reflect.TypeFor[spec.Spec]() && t.Field(field).Name == "Amended"
}

// fill sets every zero field, to one element where there may be several.
func fill(v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(1000, 0).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if !amendment(v.Type(), i) {
				fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		fill(v.Elem())
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		if v.Len() == 0 {
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(reflect.ValueOf("k"), reflect.ValueOf("v"))
		}
	default:
		if v.IsZero() {
			other(v)
		}
	}
}

// other gives a plain value another one.
func other(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8:
		v.SetUint(v.Uint() + 1)
	case reflect.Float64:
		v.SetFloat(v.Float() + 1)
	default:
		panic("no other " + v.Type().String())
	}
}

// leaves calls f with every plain value below v, and what it is called.
func leaves(v reflect.Value, path string, f func(path string, change func())) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		f(path, func() { v.Set(reflect.ValueOf(v.Interface().(time.Time).Add(time.Second))) })
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if !amendment(v.Type(), i) {
				leaves(v.Field(i), path+"."+v.Type().Field(i).Name, f)
			}
		}
	case reflect.Pointer:
		leaves(v.Elem(), path, f)
	case reflect.Slice:
		n := v.Len()
		f(path+" longer", func() { v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem()))) })
		for i := range n {
			leaves(v.Index(i), fmt.Sprintf("%s[%d]", path, i), f)
		}
	case reflect.Map:
		f(path+" larger", func() { v.SetMapIndex(reflect.ValueOf("more"), reflect.ValueOf("v")) })
	default:
		f(path, func() { other(v) })
	}
}

func print(s *spec.Spec, i plan.Instance) string {
	d := plantest.Desired(s)
	return plan.Diff(d, []plan.World{plantest.World("docker", d.Specs, i)}).Fingerprint()
}

// TestFingerprint: whatever field differs in what is desired or was observed,
// the fingerprint does: a plan that somebody said yes to is that plan. Fields
// are found by reflection, so that a new one cannot be forgotten.
func TestFingerprint(t *testing.T) {
	s, i := full()
	base := print(s, i)
	if print(full()) != base {
		t.Fatal("two fingerprints of one plan")
	}
	count := map[string]int{}
	try := func(what string, target func(*spec.Spec, *plan.Instance) reflect.Value) {
		n := 0
		leaves(target(s, &i), what, func(string, func()) { n++ })
		for k := range n {
			s, i := full()
			at := 0
			leaves(target(s, &i), what, func(path string, change func()) {
				if at++; at-1 != k {
					return
				}
				change()
				count[what]++
				// The engine's own words count minutes; equal means equal here.
				same := strings.HasSuffix(path, ".Status")
				if (print(s, i) == base) != same {
					t.Errorf("%s: same fingerprint %v", path, !same)
				}
			})
		}
	}
	try("spec", func(s *spec.Spec, _ *plan.Instance) reflect.Value { return reflect.ValueOf(s) })
	try("agent", func(_ *spec.Spec, i *plan.Instance) reflect.Value { return reflect.ValueOf(i.Agent) })
	try("sidecar", func(_ *spec.Spec, i *plan.Instance) reflect.Value { return reflect.ValueOf(i.Sidecar) })
	try("state", func(_ *spec.Spec, i *plan.Instance) reflect.Value { return reflect.ValueOf(i.State) })
	try("leftovers", func(_ *spec.Spec, i *plan.Instance) reflect.Value { return reflect.ValueOf(&i.Leftovers) })
	if count["spec"] < 50 || count["agent"] < 12 || count["state"] < 5 {
		t.Errorf("fields found: %v", count)
	}
}

// TestFingerprintFollowsTheWorld: an image that would be another, although
// nothing is made of it yet, is another plan.
func TestFingerprintFollowsTheWorld(t *testing.T) {
	s := plantest.Spec("dev")
	d := plantest.Desired(s)
	base := plan.Diff(d, []plan.World{plantest.World("docker", d.Specs)}).Fingerprint()
	for name, edit := range map[string]func(*plan.World){
		"image":         func(w *plan.World) { w.Images[s.ID.Name()] = plan.ImageState{Ref: "img:2"} },
		"sidecar image": func(w *plan.World) { w.SidecarImage = "side:2" },
		"confinement":   func(w *plan.World) { w.Confinement = "c2" },
	} {
		w := plantest.World("docker", d.Specs)
		edit(&w)
		if plan.Diff(d, []plan.World{w}).Fingerprint() == base {
			t.Errorf("%s: same fingerprint", name)
		}
	}
}

// TestFingerprintHoldsNoSecret: it is stored in files, and a literal value of
// the environment must not be found by guessing.
func TestFingerprintHoldsNoSecret(t *testing.T) {
	prints := map[string]bool{}
	for _, key := range []string{"0123456789abcdef0123456789abcdef", "another-key-another-key-another-"} {
		s := plantest.Spec("dev")
		d := plantest.Desired(s)
		d.Hash = func(s *spec.Spec) (string, string) { return s.Hash(spec.Key(key)), s.FixedJSON(spec.Key(key)) }
		prints[plan.Diff(d, nil).Fingerprint()] = true
		s.Fixed.Env[0].Value = "guess"
		d.Hash = func(*spec.Spec) (string, string) { return "", "" }
		before := plan.Diff(d, nil).Fingerprint()
		s.Fixed.Env[0].Value = "another"
		if plan.Diff(d, nil).Fingerprint() != before {
			t.Error("a literal value is in the fingerprint without the key")
		}
	}
	if len(prints) != 2 {
		t.Error("the key changes nothing")
	}
}
