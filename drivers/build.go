package drivers

import "fmt"

// BuildError says why a guest that builds an image gave up.
type BuildError struct {
	Step string // what it was at: "run 2", "copy", "seal", "seal run 1"
	Code int    // exit code of the command; 0 when there was none
	Log  string // the last lines of the output
}

func (e *BuildError) Error() string {
	text := fmt.Sprintf("%s ended with exit code %d", e.Step, e.Code)
	if e.Log != "" {
		text += "; the last lines of its output:\n" + e.Log
	}
	return text
}
