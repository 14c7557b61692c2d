//go:build libvirt_dlopen && !nolibvirt && linux

package main

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// Loading libvirt takes longer than everything else at start-up. A command that opens no libvirt host does not wait for it.
func TestLibvirtIsLoadedForLibvirtHostsOnly(t *testing.T) {
	w := newWorkdir(t, "-- main.hcl --\nvariable \"uri\" {}\nhost \"lab\" { uri = var.uri }\n")
	for _, c := range []struct {
		line  string
		loads bool
	}{
		{"version", false},
		{"fmt --check", false},
		{"validate", false},
		{"completion bash", false},
		{"__complete plan --var ", false},
		{"plan --var uri=sim:lab.json", false},
		{"plan --var uri=test:///default", true},
	} {
		cmd := w.command(strings.Fields(c.line)...)
		// The dynamic linker names each file it loads on standard error.
		cmd.Env = append(cmd.Env, "LD_DEBUG=files")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v\n%s", c.line, err, stderr.String())
		}
		if !strings.Contains(stderr.String(), "libc.so") {
			t.Fatalf("%s: the dynamic linker does not say what it loads:\n%s", c.line, stderr.String())
		}
		if got := strings.Contains(stderr.String(), "libvirt.so"); got != c.loads {
			t.Errorf("%s: libvirt is loaded: %t, want %t", c.line, got, c.loads)
		}
	}
}

// Where libvirt prints errors itself, they stand beside vmplan's own messages.
func TestLibvirtPrintsNoErrorsItself(t *testing.T) {
	w := newWorkdir(t, "-- main.hcl --\nhost \"lab\" { uri = \"qemu:///system?socket=/nowhere/sock\" }\nnetwork \"lan\" { cidr = \"10.73.1.0/24\" }\n")
	out, err := w.command("plan").CombinedOutput()
	if failed := new(exec.ExitError); !errors.As(err, &failed) || !strings.Contains(string(out), "Failed to connect socket") {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "libvirt: ") {
		t.Errorf("libvirt prints errors itself:\n%s", out)
	}
}
