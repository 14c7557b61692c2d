package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// workdir is a project's folder, in which vmplan runs as processes of its own.
type workdir struct {
	t   *testing.T
	dir string
}

// newWorkdir fills a new folder with the files of a text archive.
func newWorkdir(t *testing.T, archive string) *workdir {
	t.Helper()
	w := &workdir{t, t.TempDir()}
	w.write(archive)
	return w
}

func (w *workdir) write(archive string) {
	w.t.Helper()
	for _, f := range txtar.Parse([]byte(archive)).Files {
		path := filepath.Join(w.dir, f.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Data, 0o644)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// copy is another folder with the same in it.
func (w *workdir) copy(t *testing.T) *workdir {
	t.Helper()
	c := &workdir{t, t.TempDir()}
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(w.dir, path)
		switch to := filepath.Join(c.dir, rel); {
		case err != nil || relErr != nil:
			return errors.Join(err, relErr)
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		default:
			data, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(to, data, 0o600))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// command is vmplan, which TestMain has put into the PATH.
func (w *workdir) command(args ...string) *exec.Cmd {
	cmd := exec.Command("vmplan", args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "VMPLAN_CACHE="+filepath.Join(w.dir, ".cache"))
	return cmd
}

// killed is the exit code of a process that kill -9 ended.
const killed = -int(syscall.SIGKILL)

// run gives the exit code of vmplan, or the negative signal that ended it, and all it printed.
func (w *workdir) run(args ...string) (code int, output string) {
	w.t.Helper()
	var out bytes.Buffer
	cmd := w.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return exitOf(cmd), out.String()
}

func exitOf(cmd *exec.Cmd) int {
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return -int(status.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// must runs vmplan, which has to exit with code.
func (w *workdir) must(code int, args ...string) string {
	w.t.Helper()
	got, output := w.run(args...)
	if got != code {
		w.t.Fatalf("vmplan %s exits with %d, want %d:\n%s", strings.Join(args, " "), got, code, output)
	}
	return output
}

// host gives what is on the simulated host lab.json, as a tree of JSON, less what counts how it got there.
func (w *workdir) host() map[string]any {
	w.t.Helper()
	data := map[string]any{}
	text, err := os.ReadFile(filepath.Join(w.dir, "lab.json"))
	if err == nil {
		err = json.Unmarshal(text, &data)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	delete(data, "faults")
	vms, _ := data["vms"].(map[string]any)
	for _, vm := range vms {
		delete(vm.(map[string]any), "boots")
	}
	return data
}

// setHost sets one key of lab.json.
func (w *workdir) setHost(key string, value any) {
	w.t.Helper()
	data := map[string]any{}
	path := filepath.Join(w.dir, "lab.json")
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &data)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	data[key] = value
	text, err = json.Marshal(data)
	if err := errors.Join(err, os.WriteFile(path, text, 0o644)); err != nil {
		w.t.Fatal(err)
	}
}
