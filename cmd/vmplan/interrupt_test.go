package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const interruptedProject = `
-- main.hcl --
host "lab" {
  uri = "sim:lab.json"
}
vm "web" {
  disk "root" {
    size = "1GiB"
  }
}
vm "db" {
  depends_on = [vm.web]
  disk "root" {
    size = "1GiB"
  }
}
`

// background is a vmplan that runs.
type background struct {
	w   *workdir
	cmd *exec.Cmd
	out bytes.Buffer
}

func (w *workdir) start(args ...string) *background {
	w.t.Helper()
	b := &background{w: w, cmd: w.command(args...)}
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.out
	if err := b.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	return b
}

// reached waits until a file of the folder has text in it.
func (b *background) reached(file, text string) {
	b.w.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		data, _ := os.ReadFile(filepath.Join(b.w.dir, file))
		if strings.Contains(string(data), text) {
			return
		}
		if time.Now().After(deadline) {
			_ = b.cmd.Process.Kill()
			_ = b.cmd.Wait()
			b.w.t.Fatalf("after a minute %s has no %q: %s\n%s", file, text, data, &b.out)
		}
	}
}

func (b *background) signal(s os.Signal) {
	b.w.t.Helper()
	if err := b.cmd.Process.Signal(s); err != nil {
		b.w.t.Fatal(err)
	}
}

// ends waits for the end, which must come within the time and with the exit code, and gives what was printed.
func (b *background) ends(code int, within time.Duration) string {
	b.w.t.Helper()
	late := time.AfterFunc(within, func() { _ = b.cmd.Process.Kill() })
	_ = b.cmd.Wait()
	if !late.Stop() {
		b.w.t.Fatalf("it does not end within %s:\n%s", within, &b.out)
	}
	if got := exitOf(b.cmd); got != code {
		b.w.t.Fatalf("it exits with %d, want %d:\n%s", got, code, &b.out)
	}
	return b.out.String()
}

// Ctrl-C, or a polite kill, lets what runs finish, starts nothing more, says so, and the next apply goes on from there.
func TestInterruptedApplyFinishesWhatItDoes(t *testing.T) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorkdir(t, interruptedProject+"-- lab.json --\n"+`{"faults": [{"verb": "create", "addr": "vm.web", "delay": "3s", "times": 1}]}`)
			b := w.start("apply", "--auto-approve")
			b.reached(".lab.json.log", `"section":"faults"`) // the fault has struck: it creates vm.web
			b.signal(s)
			output := b.ends(130, time.Minute)
			for _, want := range []string{"Interrupted: what runs is let finish.", "vm.web: created", "vm.db: not created: interrupted before it began", "Apply interrupted: ", "Another apply goes on from here."} {
				if !strings.Contains(output, want) {
					t.Errorf("%q is not in what it says:\n%s", want, output)
				}
			}
			if strings.Contains(output, "vm.web: starting") {
				t.Errorf("it went on after the signal:\n%s", output)
			}
			if list := w.must(0, "state", "list", "vm.web"); !strings.Contains(list, "vm.web            vm      lab   web                     ready") {
				t.Errorf("what was done is not recorded:\n%s", list)
			}
			if _, err := os.Stat(filepath.Join(w.dir, "vmplan.vmstate.lock")); err == nil {
				t.Error("the lock is left")
			}
			w.must(0, "apply", "--auto-approve")
			w.must(0, "plan", "--detailed-exitcode")
		})
	}
}

// The second signal ends it at once, whatever hangs; what was done is on record all the same.
func TestTheSecondInterruptEndsAtOnce(t *testing.T) {
	w := newWorkdir(t, interruptedProject+"-- lab.json --\n"+`{"faults": [{"verb": "start", "addr": "vm.web", "hang": true, "times": 1}]}`)
	b := w.start("apply", "--auto-approve")
	b.reached(".lab.json.log", `"section":"faults"`) // the fault has struck: it hangs
	b.signal(os.Interrupt)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(w.must(0, "state", "list"), "vm.web "); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what was done is not on record")
		}
	}
	b.signal(os.Interrupt)
	b.ends(130, 20*time.Second)
	w.must(0, "apply", "--auto-approve")
	w.must(0, "plan", "--detailed-exitcode")
	if list := w.must(0, "list"); strings.Count(list, " on ") != 2 {
		t.Errorf("not both vms run:\n%s", list)
	}
}

// Before anything is done, the first signal is enough, and there is no error to tell.
func TestAnInterruptedPlanEndsQuietly(t *testing.T) {
	w := newWorkdir(t, interruptedProject+"-- lab.json --\n"+`{"faults": [{"verb": "observe", "hang": true, "times": 1}]}`)
	b := w.start("apply", "--auto-approve")
	b.reached(".lab.json.log", `"section":"faults"`)
	b.signal(os.Interrupt)
	if output := b.ends(130, 20*time.Second); strings.Contains(output, "Error") || !strings.Contains(output, "Interrupted") {
		t.Errorf("it says\n%s", output)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "vmplan.vmstate")); err == nil {
		t.Error("there is a state")
	}
	w.must(0, "apply", "--auto-approve")
}
