package guest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vmplan.dev/vmplan/drivers/guest"
)

func limit(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// until gives a context whose time is up when end is called.
func until(t *testing.T) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, func() { cancel(context.DeadlineExceeded) }
}

// greeter listens and sends text to whoever connects; the connection then stays open.
func greeter(t *testing.T, text string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			conn.Write([]byte(text))
		}
	}()
	return listener.Addr().String()
}

func TestWaitSSHTakesAnyModernServer(t *testing.T) {
	for _, text := range []string{"SSH-2.0-dropbear_2022.83\r\n", "SSH-1.99-OpenSSH_3\r\n", "hello\r\nyou\r\nSSH-2.0-x\r\n"} {
		if err := guest.WaitSSH(limit(t, 20*time.Second), new(net.Dialer).DialContext, greeter(t, text)); err != nil {
			t.Errorf("greeting %q: %v", text, err)
		}
	}
}

func TestWaitSSHGoesOnUntilTheServerIsThere(t *testing.T) {
	addr := greeter(t, "SSH-2.0-x\r\n")
	var tries atomic.Int32
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if tries.Add(1) < 4 {
			return nil, errors.New("connection refused")
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	if err := guest.WaitSSH(limit(t, 20*time.Second), dial, addr); err != nil || tries.Load() != 4 {
		t.Errorf("after %d tries: %v", tries.Load(), err)
	}
}

func TestWaitSSHSaysWhyItNeverAnswered(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "did not greet"},
		{"SSH-1.5-old\r\n", `old protocol: "SSH-1.5-old"`},
		{strings.Repeat("noise\n", 4000), "no ssh server"},
	} {
		ctx, end := until(t)
		tries := 0
		err := guest.WaitSSH(ctx, func(_ context.Context, network, addr string) (net.Conn, error) {
			tries++
			conn, err := net.Dial(network, addr)
			if tries > 1 || c.text == "" { // it has had its answer, or there will be none
				end()
			}
			return conn, err
		}, greeter(t, c.text))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("error %v, want a timeout with %q", err, c.want)
		}
	}
}

// fakeAgent answers as the QEMU agent does; its cloud-init gives one answer after the other.
func fakeAgent(outputs ...string) guest.Agent {
	var call int
	return func(_ context.Context, command string) (string, error) {
		var request struct {
			Execute   string
			Arguments struct {
				Path string
				Arg  []string
				PID  int
			}
		}
		if err := json.Unmarshal([]byte(command), &request); err != nil {
			return "", err
		}
		switch request.Execute {
		case "guest-ping":
			return `{"return":{}}`, nil
		case "guest-exec":
			if got := request.Arguments.Path + " " + strings.Join(request.Arguments.Arg, " "); got != "cloud-init status --wait --format json" {
				return "", fmt.Errorf("unexpected command %q", got)
			}
			return `{"return":{"pid":12}}`, nil
		case "guest-exec-status":
			text := outputs[min(call, len(outputs)-1)]
			call++
			if text == "" {
				return `{"return":{"exited":false}}`, nil
			}
			return fmt.Sprintf(`{"return":{"exited":true,"exitcode":0,"out-data":%q}}`, base64.StdEncoding.EncodeToString([]byte(text))), nil
		}
		return `{"error":{"class":"CommandNotFound","desc":"no such command"}}`, nil
	}
}

func TestWaitCloudInit(t *testing.T) {
	err := guest.WaitCloudInit(limit(t, 20*time.Second), fakeAgent("", `{"status":"running"}`, "", `{"status":"done","errors":[]}`))
	if err != nil {
		t.Errorf("cloud-init that gets done: %v", err)
	}
	started := time.Now()
	err = guest.WaitCloudInit(limit(t, time.Minute), fakeAgent(`{"status":"error","errors":["('scripts-user', RuntimeError)"]}`))
	if err == nil || !strings.Contains(err.Error(), "scripts-user") || time.Since(started) > 30*time.Second {
		t.Errorf("cloud-init that failed: %v after %v, want its error at once", err, time.Since(started))
	}
	ctx, end := until(t)
	busy, asked := fakeAgent(`{"status":"running"}`), 0
	err = guest.WaitCloudInit(ctx, func(ctx context.Context, command string) (string, error) {
		if asked++; asked > 2 { // it was run, had its answer, and is run again
			end()
		}
		return busy(ctx, command)
	})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "still runs") {
		t.Errorf("cloud-init that never ends: %v", err)
	}
}

func TestWaitAgentRetriesUntilItIsConnected(t *testing.T) {
	agent, tries := fakeAgent(""), 0
	late := func(ctx context.Context, command string) (string, error) {
		if tries++; tries < 3 {
			return "", errors.New("guest agent is not connected")
		}
		return agent(ctx, command)
	}
	if err := guest.WaitAgent(limit(t, 20*time.Second), late); err != nil || tries != 3 {
		t.Errorf("after %d tries: %v", tries, err)
	}
	ctx, end := until(t)
	never := func(context.Context, string) (string, error) {
		end()
		return "", errors.New("guest agent is not connected")
	}
	if err := guest.WaitAgent(ctx, never); err == nil || !strings.Contains(err.Error(), "not connected") {
		t.Errorf("error %v, want the last answer in it", err)
	}
}

func TestAgentErrorsAreToldInItsWords(t *testing.T) {
	disabled := guest.Agent(func(context.Context, string) (string, error) {
		return `{"error":{"class":"CommandNotFound","desc":"Command guest-exec has been disabled"}}`, nil
	})
	if _, err := disabled.Exec(t.Context(), []string{"true"}); err == nil || !strings.Contains(err.Error(), "has been disabled") {
		t.Errorf("error %v", err)
	}
}

func TestParseCloudInit(t *testing.T) {
	for _, c := range []struct {
		name, output string
		state        guest.CloudInitState
		err          string
	}{
		{"done", `{"status": "done", "errors": [], "recoverable_errors": {}}`, guest.CloudInitDone, ""},
		{"done with warnings", `{"status": "done", "recoverable_errors": {"WARNING": ["b", "a", "b"]}}`, guest.CloudInitDone, ""},
		{"boot has just begun", `{"status": "not run"}`, guest.CloudInitRunning, ""},
		{"failed", `{"status": "error", "errors": ["bad yaml"], "recoverable_errors": {"ERROR": ["bad yaml", "no net"]}}`, guest.CloudInitError, "bad yaml; no net"},
		{"switched off", `{"status": "disabled"}`, guest.CloudInitDisabled, "is disabled"},
		{"old, running", "status: running\ntime: Thu\ndetail:\nDataSourceNoCloud\n", guest.CloudInitRunning, ""},
		{"old, failed", "status: error\ndetail:\n('write-files', KeyError)\n", guest.CloudInitError, "('write-files', KeyError)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, err := guest.ParseCloudInit([]byte(c.output))
			if err != nil || status.State != c.state {
				t.Fatalf("%+v, %v; want state %q", status, err, c.state)
			}
			if err := status.Err(); (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want one with %q", err, c.err)
			}
		})
	}
	for _, output := range []string{"", "{", `{"status":"exploded"}`, "usage: cloud-init [-h]"} {
		if status, err := guest.ParseCloudInit([]byte(output)); err == nil {
			t.Errorf("%q was read as %+v", output, status)
		}
	}
}
