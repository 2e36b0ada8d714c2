//go:build !linux

package leaks

func seal() error { return nil }
