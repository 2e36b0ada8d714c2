package door

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"
)

func interfaces() error {
	all, err := net.Interfaces()
	if err != nil {
		return err
	}
	var errs []error
	for _, i := range all {
		// Unconfigured tunnels of the kernel lead nowhere: what is up counts.
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 {
			errs = append(errs, fmt.Errorf("there is an interface %s", i.Name))
		}
	}
	return errors.Join(errs...)
}

// outside are addresses that no answer may come from: of documentation, a
// public resolver, the link-local service of clouds, smolvm's own gateway, and
// private ones, in both families.
var outside = []string{
	"192.0.2.1", "1.1.1.1", "169.254.169.254", "100.96.0.1", "10.0.0.1", "192.168.0.1",
	"2001:db8::1", "2606:4700:4700::1111", "fd00:ec2::254", "fd53:4d00::1", "64:ff9b::1.1.1.1",
}

// noWay reports whether the kernel itself said that there is no way: no route, or
// no such family here.
func noWay(err error) bool {
	for _, no := range []error{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// unreachable dials, and takes only the kernel's own word that there is no way.
func unreachable(hostPort int) error {
	type target struct{ network, address string }
	var targets []target
	for _, ip := range outside {
		targets = append(targets, target{"tcp", net.JoinHostPort(ip, "443")}, target{"udp", net.JoinHostPort(ip, "53")})
	}
	var errs []error
	for _, t := range targets {
		conn, err := net.DialTimeout(t.network, t.address, 2*time.Second)
		if err == nil {
			_ = conn.Close()
		}
		if !noWay(err) {
			errs = append(errs, fmt.Errorf("%s %s: %w", t.network, t.address, orReached(err)))
		}
	}
	for _, ip := range []string{"127.0.0.1", "::1"} {
		if hostPort == 0 {
			break
		}
		address := net.JoinHostPort(ip, strconv.Itoa(hostPort))
		conn, err := net.DialTimeout("tcp", address, 2*time.Second)
		if err == nil {
			_ = conn.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) && (ip == "127.0.0.1" || !noWay(err)) {
			errs = append(errs, fmt.Errorf("the host's loopback: %w", orReached(err)))
		}
	}
	return errors.Join(errs...)
}

func orReached(err error) error {
	if err == nil {
		return errors.New("something answers")
	}
	return err
}
