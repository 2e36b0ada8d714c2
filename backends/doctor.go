package backends

import "context"

// Doctor is a driver that can examine its engine beyond Check. It changes
// nothing on it.
type Doctor interface {
	Doctor(ctx context.Context) []Finding
}

// Finding is the result of one check.
type Finding struct {
	// Check is stable snake_case: "engine", "runc".
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Message says what is, Hint what to do about it; both as in engine/diag.
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Status judges a finding: with a failure no bottle runs, or none safely; a
// warning is for the reader to weigh.
type Status string

// Statuses.
const (
	StatusOK   Status = "ok"
	StatusWarn Status = "warn"
	StatusFail Status = "fail"
)
