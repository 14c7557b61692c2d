//go:build linux && !nolibvirt

package main

import (
	"strings"
	"testing"
)

// TestWhatAHostCannotDoIsInThePlan: a plan for libvirt's test driver, which runs no guests, is refused where apply would fail, with the
// reason and the line that asks for it.
func TestWhatAHostCannotDoIsInThePlan(t *testing.T) {
	t.Parallel()
	w := newWorkdir(t, `
-- main.hcl --
host "lab" {
  uri = "test:///default"
}
pool "default" {
  managed = false
  name    = "default-pool"
}
volume "data" {
  size = "1GiB"
}
image "golden" {
  from = volume.data
  build {
    run = ["true"]
  }
}
vm "web" {
  disk "root" {
    size = "1GiB"
  }
  nic "out" {
    user = true
  }
  ready {
    agent {}
  }
}
`)
	output := w.must(1, "plan")
	for _, want := range []string{
		`Host "lab" cannot build images: libvirt's test driver runs no guests, and has no bits to copy. image.golden needs that.`,
		"main.hcl line 12, in image \"golden\"", "from = volume.data",
		"cannot wait for guests", "main.hcl line 24",
	} {
		if !strings.Contains(output, want) {
			t.Errorf("%q is not in what it says:\n%s", want, output)
		}
	}
	w.must(1, "apply", "--auto-approve")
}

// TestAFieldThatAHostCannotHaveIsPointedAt: the error points to the line of the attribute, not to the head of the block.
func TestAFieldThatAHostCannotHaveIsPointedAt(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"test:///default", "sim:lab.json"} {
		w := newWorkdir(t, `
-- main.hcl --
host "lab" {
  uri = "`+uri+`"
}
pool "default" {
  managed = false
  name    = "default-pool"
}
vm "web" {
  memory     = "2GiB"
  max_memory = "1GiB"
  disk "root" {
    size = "1GiB"
  }
}
`)
		output := w.must(1, "plan")
		if !strings.Contains(output, "main.hcl line 10, in vm \"web\"") || !strings.Contains(output, `max_memory = "1GiB"`) {
			t.Errorf("%s: it says\n%s", uri, output)
		}
	}
}
