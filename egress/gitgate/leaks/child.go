package leaks

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

// memoryLimit is what the child's collector keeps to, in bytes: well below
// dataLimit.
const memoryLimit = 240 << 20

// Child is bb as that child process; handled is false for other calls.
func Child(argv []string) (code int, handled bool) {
	if len(argv) == 0 || argv[0] != childName {
		return 0, false
	}
	if err := seal(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	debug.SetMemoryLimit(memoryLimit)
	debug.SetGCPercent(50)
	a := answer{Version: protocol}
	var err error
	if a.Report, err = serve(os.Stdin); err != nil {
		a = answer{Version: protocol, Error: err.Error()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		return 1, true
	}
	return 0, true
}

// serve reads the question and its objects.
func serve(in io.Reader) (Report, error) {
	r := bufio.NewReaderSize(in, 256<<10)
	line, err := r.ReadBytes('\n')
	if err != nil || len(line) > maxRequest {
		return Report{}, fmt.Errorf("the question cannot be read")
	}
	var q question
	if err := json.Unmarshal(line, &q); err != nil || q.Version != protocol {
		return Report{}, fmt.Errorf("the question is of another version")
	}
	return Scan(context.Background(), q.Request, r)
}
