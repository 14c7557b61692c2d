package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Everybody applies the same project at once, each with a title of their own. The folder is fresh: even who the project is has
// yet to be decided.
const crowdedProject = simLab + simProject + `
variable "who" {
  type = string
}
vm "web" {
  count = 3
  title = var.who
  image = image.base
  disk "root" {
    size = "1GiB"
  }
  nic "lan" {
    network = network.lan
    address = "auto"
  }
}
`

// TestFiftyAppliesAtOnceEndInOneState: who waits for the lock gets it, who does not is told who has it, who is killed keeps
// nobody out, and what is left on the host and in the state is one whole project.
func TestFiftyAppliesAtOnceEndInOneState(t *testing.T) {
	const crowd, impatient, doomed = 50, 10, 5
	w := newWorkdir(t, crowdedProject)
	var runs []*background
	for i := range crowd {
		args := []string{"apply", "--auto-approve", "--var", fmt.Sprintf("who=n%d", i)}
		if i >= impatient {
			args = append(args, "--lock-timeout", "5m")
		}
		runs = append(runs, w.start(args...))
	}
	runs[impatient].reached("vmplan.vmstate.journal", "vm.web")
	for _, b := range runs[crowd-doomed:] {
		b.signal(os.Kill)
	}
	applied := 0
	for i, b := range runs {
		late := time.AfterFunc(5*time.Minute, func() { _ = b.cmd.Process.Kill() })
		_ = b.cmd.Wait()
		late.Stop()
		switch code := exitOf(b.cmd); {
		case code == 0:
			applied++
		case code == 1 && i < impatient && strings.Contains(b.out.String(), "locked"):
		case code == killed && i >= crowd-doomed:
		default:
			t.Errorf("apply number %d exits with %d:\n%s", i, code, &b.out)
		}
	}
	if want := crowd - impatient - doomed; applied < want {
		t.Errorf("%d of those that waited were done, want %d", applied, want)
	}
	w.isWhole("who=" + w.title())
}

// title is what the one who came last called the guests.
func (w *workdir) title() string {
	w.t.Helper()
	vms, _ := w.host()["vms"].(map[string]any)
	titles := map[any]bool{}
	for _, vm := range vms {
		titles[vm.(map[string]any)["title"]] = true
	}
	if len(vms) != 3 || len(titles) != 1 {
		w.t.Fatalf("the guests are not of one apply: %v", vms)
	}
	for title := range titles {
		return title.(string)
	}
	return ""
}

// isWhole: nothing is left to do, the lock is free, and a lone apply of the same in a copy of the beginning makes the same host.
func (w *workdir) isWhole(variable string) {
	w.t.Helper()
	w.must(0, "plan", "--detailed-exitcode", "--var", variable)
	alone := newWorkdir(w.t, crowdedProject)
	identity, err := os.ReadFile(filepath.Join(w.dir, ".vmplan", "identity.json"))
	if err != nil {
		w.t.Fatal(err)
	}
	alone.write("-- .vmplan/identity.json --\n" + string(identity))
	alone.must(0, "apply", "--auto-approve", "--var", variable)
	if got, want := w.host(), alone.host(); !reflect.DeepEqual(got, want) {
		w.t.Errorf("the host has\n%v\nafter one apply it would have\n%v", got, want)
	}
}
