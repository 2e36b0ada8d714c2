//go:build linux

// Command seccomp writes the profile of a bottle: the engine's default profile
// less what a bottle has no use for. It is a module of its own, so that its
// dependencies are not bb's.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"os"
	"slices"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// dropped system calls: socket and socketpair come back with conditions.
// socketcall hides its arguments from a filter; io_uring does I/O past one.
var dropped = []string{
	"socket", "socketpair", "socketcall",
	"io_uring_setup", "io_uring_enter", "io_uring_register",
}

// Numbers are the kernel's, the same on every architecture that stays.
const (
	afUnix, afInet, afInet6, afNetlink = 1, 2, 10, 16
	sockStream, sockDgram              = 1, 2
	sockTypeMask                       = 0xf
	protoTCP, protoUDP, protoMPTCP     = 6, 17, 262
	netlinkRoute                       = 0
)

func main() {
	out := flag.String("o", "seccomp.json", "file to write")
	flag.Parse()
	profile := bottle(seccomp.DefaultProfile())
	text, err := json.Marshal(profile)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(*out, append(text, '\n'), 0o644); err != nil {
		log.Fatal(err)
	}
}

func bottle(p *seccomp.Seccomp) *seccomp.Seccomp {
	var kept []seccomp.Architecture
	for _, a := range p.ArchMap {
		// A 32-bit program reaches sockets through socketcall on a kernel that
		// also runs 64-bit ones: no sub-architecture, so it is killed.
		kept = append(kept, seccomp.Architecture{Arch: a.Arch})
	}
	p.ArchMap = kept

	var rules []*seccomp.Syscall
	for _, r := range p.Syscalls {
		if r.Includes != nil && len(r.Includes.Caps) > 0 {
			continue // a bottle has no capability: such a rule could only widen
		}
		if r.Excludes != nil {
			r.Excludes.Caps = nil
			if len(r.Excludes.Arches) == 0 && r.Excludes.MinKernel == nil {
				r.Excludes = nil
			}
		}
		r.Names = slices.DeleteFunc(r.Names, func(n string) bool { return slices.Contains(dropped, n) })
		if len(r.Names) > 0 {
			rules = append(rules, r)
		}
	}
	p.Syscalls = append(rules, sockets()...)
	return p
}

// sockets allows families, types and protocols one by one: what is not listed
// (vsock, AF_ALG, packet, raw, SCTP, every netlink but route) does not exist.
func sockets() []*seccomp.Syscall {
	rules := []*seccomp.Syscall{
		allow("socket", equal(0, afUnix)),
		allow("socketpair", equal(0, afUnix)),
		allow("socket", equal(0, afNetlink), equal(2, netlinkRoute)),
	}
	for _, family := range []uint64{afInet, afInet6} {
		for _, proto := range []uint64{0, protoTCP, protoMPTCP} {
			rules = append(rules, allow("socket", equal(0, family), kind(sockStream), equal(2, proto)))
		}
		for _, proto := range []uint64{0, protoUDP} {
			rules = append(rules, allow("socket", equal(0, family), kind(sockDgram), equal(2, proto)))
		}
	}
	return rules
}

// allow joins conditions with "and": each looks at another argument (runc
// would join two on the same argument with "or").
func allow(name string, args ...specs.LinuxSeccompArg) *seccomp.Syscall {
	return &seccomp.Syscall{LinuxSyscall: specs.LinuxSyscall{
		Names: []string{name}, Action: specs.ActAllow, Args: args,
	}}
}

func equal(index uint, value uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: index, Value: value, Op: specs.OpEqualTo}
}

// kind compares a socket's type without its flags.
func kind(value uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: 1, Value: sockTypeMask, ValueTwo: value, Op: specs.OpMaskedEqual}
}
