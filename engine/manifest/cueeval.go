package manifest

import (
	"fmt"
	"runtime/metrics"
	"time"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"

	"github.com/bot-bottle/bb/cue/schema"
)

// Bounds of an evaluation, far beyond what a manifest needs.
const (
	maxValues    = 20000
	maxText      = 1 << 20
	maxHeapGrows = 512 << 20
	evalTick     = 20 * time.Millisecond
)

// evalLimit is a variable for tests.
var evalLimit = 5 * time.Second

// evaluate computes a file and builds it from the results. It has a context of
// its own, so that one that does not end keeps nothing else from going on.
func (f *file) evaluate(syntax *ast.File) {
	done := make(chan *evaluation, 1)
	go func() {
		e := &evaluation{}
		defer func() {
			if p := recover(); p != nil {
				e.mistakes = []cueMistake{{text: "CUE gave up on this file", hint: "write the values out"}}
			}
			done <- e
		}()
		e.root = schema.NewContext().BuildFile(syntax)
		e.run()
	}()
	e, why := await(done)
	if e == nil {
		// CUE cannot be stopped. The command must be, whatever it was about.
		f.runaway = true
		f.failFile(1, 1, "write the values out", "%s", why)
		return
	}
	for _, m := range e.mistakes {
		line, col := 1, 1
		if m.at.IsValid() {
			line, col = place(m.at)
		}
		f.failFile(line, col, m.hint, "%s", m.text)
	}
	if len(e.mistakes) == 0 {
		f.build(e.data)
	}
}

// await waits for an evaluation, but not for one without an end.
func await(done <-chan *evaluation) (e *evaluation, why string) {
	begin, before := time.Now(), heapBytes()
	tick := time.NewTicker(evalTick)
	defer tick.Stop()
	for {
		select {
		case e := <-done:
			return e, ""
		case <-tick.C:
		}
		switch heap := heapBytes(); {
		case heap > before+maxHeapGrows:
			return nil, fmt.Sprintf("computing this file takes more than %d MiB", maxHeapGrows>>20)
		case time.Since(begin) > evalLimit:
			return nil, fmt.Sprintf("computing this file takes longer than %s", evalLimit)
		}
	}
}

func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// evaluation is one file as CUE computes it.
type evaluation struct {
	root         cue.Value
	data         ast.Expr
	values, text int
	mistakes     []cueMistake
}

func (e *evaluation) run() {
	if err := e.root.Err(); err != nil {
		e.explain(err)
		return
	}
	e.data = e.value(e.root, e.root.Pos(), 0)
	if len(e.mistakes) == 0 {
		if err := e.root.Validate(cue.Concrete(true), cue.Final()); err != nil {
			e.explain(err)
		}
	}
}
