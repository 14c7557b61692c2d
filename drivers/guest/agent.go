package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Agent sends one command (JSON) to the guest's QEMU agent and gives its reply. It is what a hypervisor's driver hands in. An
// agent that does not answer yet is an error like any other.
type Agent func(ctx context.Context, command string) (reply string, err error)

// WaitAgent waits until the agent answers, or ctx ends.
func WaitAgent(ctx context.Context, agent Agent) error {
	return poll(ctx, "the guest agent", func(ctx context.Context) error { return agent.call(ctx, "guest-ping", nil, nil) })
}

// WaitCloudInit waits until cloud-init has finished, or ctx ends. An error that cloud-init reports is returned at once.
func WaitCloudInit(ctx context.Context, agent Agent) error {
	// One command that waits in the guest, however long it takes: it takes a guest that boots many seconds to start one, and
	// repeated requests would pile up there.
	return poll(ctx, "cloud-init", func(context.Context) error {
		run, err := agent.Exec(ctx, []string{"cloud-init", "status", "--wait", "--format", "json"})
		if err != nil {
			return err
		}
		status, err := ParseCloudInit(run.Stdout)
		if err != nil {
			return fmt.Errorf("cloud-init status: exit code %d: %w", run.ExitCode, err)
		}
		switch status.State {
		case CloudInitDone:
			return nil
		case CloudInitRunning:
			return errors.New("cloud-init still runs")
		}
		return permanentError{status.Err()}
	})
}

// ExecResult is how a command in the guest ended.
type ExecResult struct {
	ExitCode int
	Signal   int // that ended it; 0 when it exited
	Stdout   []byte
	Stderr   []byte
}

// Exec runs a command in the guest, without a shell, and waits for its end or that of ctx. A command that fails is no error
// here: see ExitCode.
func (agent Agent) Exec(ctx context.Context, argv []string) (*ExecResult, error) {
	var started struct {
		PID int `json:"pid"`
	}
	args := map[string]any{"path": argv[0], "arg": argv[1:], "capture-output": true}
	if err := agent.call(ctx, "guest-exec", args, &started); err != nil {
		return nil, err
	}
	timer := time.NewTimer(pollFirst)
	defer timer.Stop()
	for wait := pollFirst; ; wait = min(wait*3/2, pollMost) {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s in the guest: %w", argv[0], context.Cause(ctx))
		case <-timer.C:
		}
		var status struct {
			Exited   bool   `json:"exited"`
			ExitCode int    `json:"exitcode"`
			Signal   int    `json:"signal"`
			Out      []byte `json:"out-data"` // base64, as encoding/json reads it
			Err      []byte `json:"err-data"`
		}
		if err := agent.call(ctx, "guest-exec-status", map[string]any{"pid": started.PID}, &status); err != nil {
			return nil, err
		}
		if status.Exited {
			return &ExecResult{status.ExitCode, status.Signal, status.Out, status.Err}, nil
		}
		timer.Reset(wait)
	}
}

// call sends one command and decodes what it returns into result, when that is not nil.
func (agent Agent) call(ctx context.Context, command string, args map[string]any, result any) error {
	request, err := json.Marshal(struct {
		Execute   string         `json:"execute"`
		Arguments map[string]any `json:"arguments,omitempty"`
	}{command, args})
	if err != nil {
		return err
	}
	text, err := agent(ctx, string(request))
	if err != nil {
		return fmt.Errorf("guest agent: %s: %w", command, err)
	}
	var reply struct {
		Return json.RawMessage `json:"return"`
		Error  *struct {
			Class string `json:"class"`
			Desc  string `json:"desc"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(text), &reply); err != nil {
		return fmt.Errorf("guest agent: %s: unreadable reply: %w", command, err)
	}
	if reply.Error != nil {
		return fmt.Errorf("guest agent: %s: %s", command, reply.Error.Desc)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(reply.Return, result); err != nil {
		return fmt.Errorf("guest agent: %s: unreadable reply: %w", command, err)
	}
	return nil
}
