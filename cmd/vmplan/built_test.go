//go:build linux && !nolibvirt

package main

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// builtProject makes a golden image from a vm that was provisioned, and two vms from that.
const builtProject = `
variable "uri" {}
variable "image" {}
variable "ssh_key" {}

host "lab" {
  uri         = var.uri
  domain_type = "qemu"
}
network "lan" {
  cidr = "10.74.1.0/24"
}
image "tiny" {
  source = var.image
}
vm "template" {
  image  = image.tiny
  memory = "192MiB"
  cloud_init {
    user_data = "#!/bin/sh\necho by the template > /srv/provisioned\necho old > /var/log/old.log\n"
  }
  ready {
    agent {}
  }
}
image "golden" {
  from = vm.template
  build {
    run    = ["echo $((6 * 7)) > /srv/site/answer"]
    copy   = { "site" = "/srv/site" }
    memory = "256MiB"
  }
  seal {
    run = ["cp /etc/machine-id /srv/site/machine-id"]
  }
}
vm "web" {
  for_each = toset(["a", "b"])
  image    = image.golden
  memory   = "192MiB"
  nic "lan" {
    network = network.lan
    address = "auto"
  }
  cloud_init {
    ssh_authorized_keys = [var.ssh_key]
  }
  ready {
    ssh {}
  }
}
`

// TestASealedImageGivesGuestsOfTheirOwn: a vm is provisioned, its disk built upon and sealed; guests from that have what the vm
// and the build left, and a machine id and ssh host keys that nobody else has.
func TestASealedImageGivesGuestsOfTheirOwn(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{
		"main.hcl": {Data: []byte(builtProject)}, "site/index.html": {Data: []byte("hello\n")},
		"site/bin/tool": {Data: []byte("#!/bin/sh\necho tool runs\n"), Mode: 0o755},
	})
	before := p.snapshot()
	p.contains(p.vmplan(0, "apply", "--auto-approve"), "image.golden: base copied", "image.golden: built", "image.golden: created")
	p.vmplan(0, "plan", "--detailed-exitcode")
	secrets := map[string]string{}
	for _, vm := range []string{"a", "b"} {
		got := p.vmplan(0, "ssh", `vm.web["`+vm+`"]`, "--user", "root", "--identity", p.key(), "--",
			"cat /srv/provisioned /srv/site/index.html /srv/site/answer; /srv/site/bin/tool; wc -c < /srv/site/machine-id; cat /var/log/old.log; "+
				"echo id $(cat /etc/machine-id); echo key $(sha256sum < /etc/dropbear/dropbear_ed25519_host_key)")
		p.contains(got, "by the template\nhello\n42\ntool runs\n0\nid ")
		for _, line := range strings.Split(strings.TrimSpace(got), "\n") {
			if kind, value, _ := strings.Cut(line, " "); kind == "id" || kind == "key" {
				if len(value) < 32 || secrets[kind] == value {
					t.Errorf("vm %s has the %s %q, the other has %q", vm, kind, value, secrets[kind])
				}
				secrets[kind] = value
			}
		}
	}
	p.destroy(before)
}

// TestABuildThatFailsAndOneThatIsKilled: the error says which step failed and why, and nothing is left of it; and after kill -9 in
// the middle of a build the next apply builds from the beginning, and leaves just the image.
func TestABuildThatFailsAndOneThatIsKilled(t *testing.T) {
	t.Parallel()
	host, image := libvirttest.Start(t), libvirttest.Guest(t)
	before := hostSnapshot(t, host)
	project := func(run string) string {
		return `
-- main.hcl --
host "lab" {
  uri         = "` + host.URI + `"
  domain_type = "qemu"
}
pool "built" {
  path = "` + host.Dir + `/built"
}
image "tiny" {
  source = "` + image.Disk + `"
}
image "golden" {
  from = image.tiny
  build {
    run    = ["echo first > /srv/first", "` + run + `"]
    memory = "256MiB"
  }
}
`
	}
	w := newWorkdir(t, project("echo it is broken; exit 7"))
	output := w.must(1, "apply", "--auto-approve")
	for _, want := range []string{"image.golden", "run 2 ended with exit code 7", "it is broken"} {
		if !strings.Contains(output, want) {
			t.Errorf("%q is not in what a build that fails says:\n%s", want, output)
		}
	}
	onlyImage(t, host, "after a build that failed")

	w.write(project("sleep 600"))
	b := w.start("apply", "--auto-approve")
	for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(strings.Join(hostSnapshot(t, host), "\n"), "-build: running"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no guest builds:\n%s", b.out.String())
		}
	}
	if err := b.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = b.cmd.Wait()
	w.write(project("test -s /srv/first"))
	w.must(0, "apply", "--auto-approve")
	w.must(0, "plan", "--detailed-exitcode")
	onlyImage(t, host, "after a build that was killed, and another")
	w.must(0, "destroy", "--auto-approve")
	isAsBefore(t, host, before)
}

// onlyImage checks that of building nothing is left on the host.
func onlyImage(t *testing.T, host *libvirttest.Host, when string) {
	t.Helper()
	for _, line := range hostSnapshot(t, host) {
		if strings.Contains(line, "-build") || strings.Contains(line, "-copy") {
			t.Errorf("%s there is %s", when, line)
		}
	}
}
