// Package e2e holds the tests that use bb as a person does, on a real Docker
// engine: the program is built, bottles run, and what the issue promises is
// looked at from outside and from inside. A missing engine fails them.
package e2e
