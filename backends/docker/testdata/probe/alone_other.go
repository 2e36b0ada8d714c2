//go:build !amd64

package main

func alone(string) {}
