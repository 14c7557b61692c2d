package guest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CloudInitState is how far cloud-init is.
type CloudInitState string

// The states.
const (
	CloudInitRunning  CloudInitState = "running" // or not yet started
	CloudInitDone     CloudInitState = "done"
	CloudInitError    CloudInitState = "error"
	CloudInitDisabled CloudInitState = "disabled" // it will never run
)

// CloudInitStatus is what cloud-init says of itself.
type CloudInitStatus struct {
	State  CloudInitState
	Errors []string // sorted, each once; also warnings of a run that is done
	Detail string   // for people
}

// ParseCloudInit reads the output of `cloud-init status --format json`, or of `cloud-init status --long`, which is all that
// versions before 22.4 have.
func ParseCloudInit(output []byte) (CloudInitStatus, error) {
	var raw struct {
		Status      string              `json:"status"`
		Detail      string              `json:"detail"`
		Errors      []string            `json:"errors"`
		Recoverable map[string][]string `json:"recoverable_errors"`
	}
	output = bytes.TrimSpace(output)
	if bytes.HasPrefix(output, []byte("{")) {
		if err := json.Unmarshal(output, &raw); err != nil {
			return CloudInitStatus{}, fmt.Errorf("unreadable status: %w", err)
		}
	} else {
		raw.Status, raw.Detail = parseLongStatus(string(output))
	}
	s := CloudInitStatus{Detail: raw.Detail, Errors: raw.Errors}
	for _, texts := range raw.Recoverable {
		s.Errors = append(s.Errors, texts...)
	}
	slices.Sort(s.Errors)
	s.Errors = slices.Compact(s.Errors)
	switch raw.Status {
	case "done", "degraded done":
		s.State = CloudInitDone
	case "running", "not run", "not started", "degraded running":
		s.State = CloudInitRunning
	case "error":
		s.State = CloudInitError
	case "disabled":
		s.State = CloudInitDisabled
	default:
		return CloudInitStatus{}, fmt.Errorf("unknown status %q", raw.Status)
	}
	return s, nil
}

func parseLongStatus(text string) (status, detail string) {
	inDetail := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, ":")
		switch {
		case key == "status":
			status, inDetail = strings.TrimSpace(value), false
		case key == "detail":
			detail, inDetail = strings.TrimSpace(value), true
		case inDetail:
			detail = strings.TrimSpace(detail + " " + line)
		}
	}
	return status, detail
}

// Err is why the guest is not as its cloud-init should have made it; nil when it is done or still runs.
func (s CloudInitStatus) Err() error {
	switch s.State {
	case CloudInitError:
		switch {
		case len(s.Errors) > 0:
			return fmt.Errorf("cloud-init failed: %s", strings.Join(s.Errors, "; "))
		case s.Detail != "":
			return fmt.Errorf("cloud-init failed: %s", s.Detail)
		}
		return errors.New("cloud-init failed: see /var/log/cloud-init.log in the guest")
	case CloudInitDisabled:
		return errors.New("cloud-init is disabled in this guest, so it will never be done: use another image, or take cloud_init out of ready")
	}
	return nil
}
