package view

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/bot-bottle/bb/engine/apply"
	"github.com/bot-bottle/bb/engine/plan"
)

var doing = map[plan.Op]string{
	plan.OpPrepare:       "preparing what all bottles share",
	plan.OpEnsureImage:   "making sure of the image",
	plan.OpCreateSidecar: "creating the sidecar",
	plan.OpStartSidecar:  "starting the sidecar",
	plan.OpConfigure:     "configuring the sidecar",
	plan.OpCreateAgent:   "creating the bottle",
	plan.OpStartAgent:    "starting the bottle",
	plan.OpProvision:     "provisioning the bottle",
	plan.OpRemoveAgent:   "removing the bottle",
	plan.OpRemoveSidecar: "removing the sidecar",
	plan.OpRemoveVolumes: "removing its volumes",
}

// quick operations are told only when they are slow or fail.
const quick = 2 * time.Second

// Progress prints one line for what takes long, and for every failure.
func Progress(w io.Writer) func(apply.Event) {
	told := map[string]bool{}
	return func(e apply.Event) {
		who := e.Node.Resource()
		switch e.Status {
		case apply.Done:
			if e.Elapsed >= quick {
				fmt.Fprintf(w, "%s: %s took %s\n", who, doing[e.Node.Op], e.Elapsed.Round(100*time.Millisecond))
			}
			if word := finished[e.Node.Op]; word != "" && !told[who+word] {
				told[who+word] = true // a claim behind a provision says nothing new
				fmt.Fprintf(w, "%s: %s\n", who, word)
			}
		case apply.Failed:
			fmt.Fprintf(w, "%s: %s failed\n", who, doing[e.Node.Op])
		}
	}
}

var finished = map[plan.Op]string{
	plan.OpStartAgent:    "started",
	plan.OpProvision:     "provisioned",
	plan.OpConfigure:     "sidecar enforces its routes",
	plan.OpRemoveVolumes: "removed",
}

// event is the JSON form of one step of an apply.
type event struct {
	Type    string `json:"type"`
	ID      string `json:"id"`
	Backend string `json:"backend"`
	Op      string `json:"op"`
	Status  string `json:"status"`
	Millis  int64  `json:"elapsed_ms"`
	Error   string `json:"error,omitempty"`
}

// JSONProgress prints one JSON object per event.
func JSONProgress(w io.Writer) func(apply.Event) {
	enc := json.NewEncoder(w)
	return func(e apply.Event) {
		v := event{
			Type: "step", ID: e.Node.Resource(), Backend: e.Node.Backend, Op: string(e.Node.Op),
			Status: string(e.Status), Millis: e.Elapsed.Milliseconds(),
		}
		if e.Err != nil {
			v.Error = e.Err.Error()
		}
		_ = enc.Encode(v) // a reader that went away ends nothing
	}
}
