package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"vmplan.dev/vmplan/drivers/source/oci/ocitest"
)

func TestMain(m *testing.M) {
	testscript.Main(ownCache{m}, map[string]func(){"vmplan": main})
}

// ownCache gives the tests a cache of images of their own.
type ownCache struct{ m *testing.M }

func (o ownCache) Run() int {
	dir, err := os.MkdirTemp("", "vmplan-cache")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	os.Setenv("VMPLAN_CACHE", dir)
	return o.m.Run()
}

// TestScript runs the stories in testdata/script: what a user types and sees, on simulated hosts.
func TestScript(t *testing.T) {
	folder, err := filepath.Abs(schemas)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_COLOR", "1")
			env.Setenv("VMPLAN_CACHE", env.WorkDir+"/.cache")
			env.Setenv("SCHEMAS", folder)
			env.Values[servers] = new([]*httptest.Server)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    cmdExits,
			"await":    cmdAwait,
			"envsubst": cmdEnvsubst,
			"keep":     cmdKeep,
			"same":     cmdSame,
			"registry": cmdRegistry,
			"reseal":   cmdReseal,
			"serve":    cmdServe,
			"sim":      cmdSim,
			"valid":    cmdValid,
		},
	})
}

// cmdExits runs a program that must end with an exit code: exits CODE PROGRAM [ARG…].
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	code := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if want, err := strconv.Atoi(args[0]); err != nil || code != want {
		ts.Fatalf("%s exits with %d, want %s", strings.Join(args[1:], " "), code, args[0])
	}
}

// cmdAwait waits until a file, which may not be there yet, has what matches: await FILE REGEXP.
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && want.Match(text) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after a minute %s has no %s: %s (%v)", args[0], args[1], text, err)
		}
	}
}

// cmdKeep remembers all files below the current folder, for same: keep. What is hidden does not count.
func cmdKeep(ts *testscript.TestScript, neg bool, args []string) {
	files, err := sums(ts.MkAbs("."))
	ts.Check(err)
	text, err := json.Marshal(files)
	ts.Check(err)
	ts.Setenv("KEPT", string(text))
}

// cmdSame holds all files to what they were at the last keep: same.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	var before map[string]string
	ts.Check(json.Unmarshal([]byte(ts.Getenv("KEPT")), &before))
	now, err := sums(ts.MkAbs("."))
	ts.Check(err)
	if maps.Equal(before, now) {
		return
	}
	for name := range now {
		if now[name] != before[name] {
			ts.Fatalf("%s was written", name)
		}
	}
	ts.Fatalf("files are gone: before %v, now %v", before, now)
}

// sums gives mode and content of the files below dir, by name.
func sums(dir string) (map[string]string, error) {
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != dir && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		out[path] = fmt.Sprintf("%v %x", info.Mode(), sha256.Sum256(text))
		return err
	})
	return out, err
}

// cmdRegistry starts an OCI registry of its own, and sets $REGISTRY to its address: registry [USER:PASSWORD].
func cmdRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: registry [USER:PASSWORD]")
	}
	o := ocitest.Options{}
	if len(args) == 1 {
		name, password, _ := strings.Cut(args[0], ":")
		o.Users = map[string]string{name: password}
	}
	dir := ts.MkAbs(".registry")
	ts.Check(os.MkdirAll(dir, 0o700))
	reg, stop, err := ocitest.Run(context.Background(), dir, o)
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("REGISTRY", reg.Host)
}

// cmdServe serves the files of a folder over http, each with a tag of its content, and lets projects know the server's
// address as the variable server: serve DIR. With ! it stops. Below /signed/ it wants a signature and answers GET alone, as object
// stores do; below /login/ it wants a login.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	running := ts.Value(servers).(*[]*httptest.Server)
	if neg {
		for _, server := range *running {
			server.Close()
		}
		*running = nil
		return
	}
	if len(args) != 1 {
		ts.Fatalf("usage: serve DIR, or ! serve")
	}
	dir := ts.MkAbs(args[0])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		signed := r.Method == http.MethodGet && strings.HasPrefix(r.URL.Query().Get("X-Amz-Signature"), "s1gned")
		if strings.HasPrefix(r.URL.Path, "/signed/") && !signed || strings.HasPrefix(r.URL.Path, "/login/") && user != "t0ken" {
			http.Error(w, "", http.StatusForbidden)
			return
		}
		text, err := os.ReadFile(filepath.Join(dir, filepath.Base(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(text))))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
	}))
	ts.Defer(server.Close) // closing twice does no harm
	*running = append(*running, server)
	ts.Setenv("VMPLAN_VAR_server", server.URL)
}

// servers is the name under which a script keeps its servers.
const servers = "servers"

// cmdEnvsubst writes the values of environment variables into a file: envsubst FILE.
func cmdEnvsubst(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: envsubst FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
}

// cmdReseal edits a plan file as somebody would who means harm, and makes its sum right again: reseal FROM TO OLD FILE puts
// what FILE holds in the place of OLD.
func cmdReseal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: reseal FROM TO OLD FILE")
	}
	var file map[string]json.RawMessage
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &file))
	edited := bytes.Replace(file["plan"], []byte(args[2]), []byte(strings.TrimSpace(ts.ReadFile(args[3]))), 1)
	if bytes.Equal(edited, file["plan"]) {
		ts.Fatalf("there is no %s in %s", args[2], args[0])
	}
	sum := sha256.Sum256(edited)
	file["plan"], file["sha256"] = edited, fmt.Appendf(nil, "%q", hex.EncodeToString(sum[:]))
	text, err := json.Marshal(file)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o600))
}

// cmdSim edits a simulated host behind vmplan's back: sim FILE PATH JSON sets what is at the path (its parts divided by
// spaces), and null removes it.
func cmdSim(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: sim FILE PATH JSON")
	}
	data := map[string]any{}
	text, err := os.ReadFile(ts.MkAbs(args[0]))
	if !errors.Is(err, fs.ErrNotExist) {
		ts.Check(err)
		ts.Check(json.Unmarshal(text, &data))
	}
	var value any
	ts.Check(json.Unmarshal([]byte(args[2]), &value))
	at, path := data, strings.Fields(args[1])
	for _, name := range path[:len(path)-1] {
		next, ok := at[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[name] = next
		}
		at = next
	}
	if at[path[len(path)-1]] = value; value == nil {
		delete(at, path[len(path)-1])
	}
	text, err = json.MarshalIndent(data, "", "  ")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o644))
}
