// Package ocitest runs a real OCI registry (Docker's, which Debian packages as docker-registry) for tests, on the loopback,
// and puts things into it that vmplan itself does not make. It must not be linked into vmplan.
package ocitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Options say what kind of registry is wanted. The zero Options are one that everybody may read and write.
type Options struct {
	Users  map[string]string // passwords by name; none: no login
	Tokens bool              // logins are exchanged for tokens at another port, as big registries do
}

// Registry is a running registry.
type Registry struct {
	Host string // 127.0.0.1:PORT
	Dir  string // where it keeps its blobs

	users map[string]string
}

const startTimeout = time.Minute

// Start starts a registry that ends with the test.
func Start(t testing.TB, o Options) *Registry {
	t.Helper()
	r, stop, err := Run(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return r
}

// Run starts a registry that keeps everything in a folder, and ends when it is stopped or the process ends.
func Run(ctx context.Context, dir string, o Options) (r *Registry, stop func(), err error) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		return nil, nil, errors.New("docker-registry is not installed (.ci/setup test installs it)")
	}
	login, stopLogin, err := o.login(dir)
	if err != nil {
		return nil, nil, err
	}
	r = &Registry{Dir: filepath.Join(dir, "registry"), users: o.Users}
	var kill func()
	for range 5 { // the port may be taken between looking and starting
		if kill, err = r.start(ctx, program, filepath.Join(dir, "config.yml"), login); err == nil {
			return r, func() { kill(); stopLogin() }, nil
		}
	}
	stopLogin()
	return nil, nil, err
}

func (r *Registry) start(ctx context.Context, program, config, login string) (kill func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r.Host = l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %s}\n%s", r.Dir, r.Host, login)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.Command(program, "serve", config)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended := make(chan struct{})
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the process dies with the thread that made it, which may have made others
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	kill = func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-ended
	}
	if err := r.wait(ctx, ended); err != nil {
		kill()
		return nil, fmt.Errorf("docker-registry: %w: %s", err, said.Bytes())
	}
	return kill, nil
}

// wait polls until the registry answers.
func (r *Registry) wait(ctx context.Context, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http.Get("http://" + r.Host + "/v2/")
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-ended:
			return errors.New("ended")
		case <-ctx.Done():
			return errors.New("never answers")
		case <-tick.C:
		}
	}
}

// login is the auth section of the registry's configuration.
func (o Options) login(dir string) (text string, stop func(), err error) {
	stop = func() {}
	switch {
	case len(o.Users) == 0:
		return "", stop, nil
	case o.Tokens:
		return serveTokens(dir, o.Users)
	}
	var lines bytes.Buffer
	for name, password := range o.Users {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			return "", nil, err
		}
		fmt.Fprintf(&lines, "%s:%s\n", name, hash)
	}
	file := filepath.Join(dir, "htpasswd")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("auth: {htpasswd: {realm: tests, path: %s}}\n", file), stop, nil
}
