package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "vmplan.dev/vmplan/"

// rooms says for each package which others of this project it may import (a name that ends in "/" means all below it), and
// which third-party modules. It is the table of ARCHITECTURE.md; .golangci.yml has the part that an editor can show.
var rooms = map[string]struct{ own, third string }{
	"config/resource":          {"", ""},
	"config/atomicfile":        {"", ""},
	"config/catalogue":         {"", ""},
	"config":                   {"config/atomicfile config/resource config/function config/catalogue config/internal/complete", "github.com/hashicorp/hcl/v2 github.com/zclconf/go-cty github.com/google/uuid github.com/Masterminds/semver/v3 github.com/agext/levenshtein"},
	"config/internal/complete": {"config/resource", "github.com/google/uuid go.yaml.in/yaml/v3"},
	"config/function":          {"config/resource", "github.com/bmatcuk/doublestar/v4 github.com/hashicorp/hcl/v2 github.com/zclconf/go-cty github.com/zclconf/go-cty-yaml github.com/google/uuid golang.org/x/text"},
	"drivers":                  {"config/resource", ""},
	"drivers/guest":            {"config/atomicfile config/resource", "github.com/kdomanski/iso9660"},
	"drivers/libvirt":          {"config/atomicfile config/resource drivers drivers/guest drivers/libvirt/impact drivers/libvirt/internal/definition drivers/libvirt/internal/symbols drivers/libvirt/internal/xmltree", "libvirt.org/go/libvirt libvirt.org/go/libvirtxml golang.org/x/sync golang.org/x/sys"},
	"drivers/sim":              {"config/atomicfile config/resource drivers", "github.com/google/uuid github.com/gofrs/flock"},
	"drivers/drivertest":       {"config/resource drivers", "github.com/google/uuid pgregory.net/rapid"},
	"drivers/source":           {"config/atomicfile config/resource drivers drivers/ovf drivers/qemuimg", "github.com/klauspost/compress github.com/mikelolasagasti/xz github.com/gofrs/flock golang.org/x/sys"},
	"drivers/source/file":      {"config/resource drivers/source", ""},
	"drivers/source/http":      {"config/resource drivers/source", ""},
	"drivers/qemuimg":          {"", ""},
	"drivers/ovf":              {"config/resource", ""},
	"drivers/source/vagrant":   {"drivers/source", "github.com/Masterminds/semver/v3"},
	"drivers/source/glance": {
		"config/resource drivers drivers/source drivers/source/http",
		"github.com/gophercloud/gophercloud/v2 github.com/google/uuid",
	},
	"drivers/source/glance/glancetest": {"", "github.com/gophercloud/gophercloud/v2 golang.org/x/sync"},
	"drivers/source/oci": {
		"config/resource drivers drivers/source drivers/source/http",
		"github.com/opencontainers/image-spec github.com/opencontainers/go-digest oras.land/oras-go/v2 github.com/klauspost/compress golang.org/x/net",
	},
	"drivers/source/oci/ocitest": {"", "github.com/opencontainers/image-spec github.com/opencontainers/go-digest oras.land/oras-go/v2 golang.org/x/crypto"},
	"state":                      {"config/resource", ""},
	"state/local":                {"config/atomicfile config/resource state", "github.com/gofrs/flock golang.org/x/sys"},
	"state/statetest":            {"config/resource state", "pgregory.net/rapid"},
	"planner":                    {"config/resource drivers state", ""},
	"planner/apply":              {"config/resource drivers planner state", "golang.org/x/sync"},
	"planner/engine": {
		"config config/atomicfile config/catalogue config/resource drivers drivers/guest drivers/ovf drivers/qemuimg planner planner/apply state", "github.com/google/uuid golang.org/x/sync",
	},
	"planner/engine/standard": {"config drivers drivers/sim drivers/source drivers/source/ planner/engine state state/local", ""},
	"examples/embed":          {"planner planner/engine planner/engine/standard", ""},
	"cmd/internal/view": {
		"config config/resource drivers planner planner/apply state",
		"github.com/hashicorp/hcl/v2 github.com/sergi/go-diff github.com/vbauerster/mpb/v8 github.com/mattn/go-runewidth golang.org/x/term",
	},
	"cmd/internal/cli": {
		"config config/atomicfile config/catalogue config/resource drivers drivers/guest drivers/ovf drivers/qemuimg planner planner/apply planner/engine state cmd/internal/view",
		"github.com/spf13/cobra github.com/spf13/pflag github.com/google/uuid golang.org/x/sync golang.org/x/term",
	},
	"cmd/vmplan": {
		"cmd/internal/cli cmd/internal/view drivers/libvirt planner/engine/standard", "",
	},
	"cmd/internal/bench": {"drivers/libvirt/libvirttest", ""},
	"cmd/internal/docs":  {"config config/function config/resource drivers/libvirt/impact", ""},

	"drivers/libvirt/impact":              {"config/resource drivers drivers/libvirt/internal/definition", ""},
	"drivers/libvirt/internal/definition": {"config/resource drivers drivers/libvirt/internal/xmltree", ""},
	"drivers/libvirt/internal/symbols":    {"", "libvirt.org/go/libvirt"},
	"drivers/libvirt/internal/xmltree":    {"", ""},

	"drivers/libvirt/libvirttest":                 {"", "golang.org/x/sys"},
	"drivers/libvirt/libvirttest/cmd/floor":       {"", "libvirt.org/go/libvirt golang.org/x/sync"},
	"drivers/libvirt/libvirttest/cmd/privatehost": {"drivers/libvirt/libvirttest", ""},
}

// TestPackagesImportOnlyWhatTheirRoomMay holds the table for all code that is not tests.
func TestPackagesImportOnlyWhatTheirRoomMay(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range listPackages(t, "-tags=libvirt_dlopen", "../../...") {
		name := strings.TrimPrefix(p.ImportPath, module)
		seen[name] = true
		room, ok := rooms[name]
		if !ok {
			t.Errorf("%s has no place in the table of rooms: give it one, here and in ARCHITECTURE.md", name)
			continue
		}
		for _, path := range p.Imports {
			own, isOwn := strings.CutPrefix(path, module)
			switch {
			case isOwn && !mayImport(room.own, own):
				t.Errorf("%s imports %s: its room may import only: %s", name, own, room.own)
			case !isOwn && isThirdParty(path) && !fromModule(room.third, path):
				t.Errorf("%s imports %s: its room may use only: %s", name, path, room.third)
			}
		}
	}
	for name := range rooms {
		if !seen[name] {
			t.Errorf("the table of rooms has %s, which is no package", name)
		}
	}
}

// TestBuildWithoutLibvirtHasNoCgo: -tags nolibvirt is for machines without a C compiler.
func TestBuildWithoutLibvirtHasNoCgo(t *testing.T) {
	for _, p := range listPackages(t, "-deps", "-tags=nolibvirt", ".") {
		if strings.HasPrefix(p.ImportPath, "libvirt.org/go/libvirt") || strings.HasPrefix(p.ImportPath, module+"drivers/libvirt") {
			t.Errorf("with -tags nolibvirt vmplan links %s", p.ImportPath)
		}
	}
}

// A build without libvirt says so when a libvirt host is asked for, and works on others.
func TestBuildWithoutLibvirtSaysSo(t *testing.T) {
	w := newWorkdir(t, "-- main.hcl --\nvariable \"uri\" {}\nhost \"lab\" { uri = var.uri }\nnetwork \"lan\" { cidr = \"10.73.1.0/24\" }\n")
	program := filepath.Join(t.TempDir(), "vmplan")
	if out, err := exec.Command("go", "build", "-tags", "nolibvirt", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for uri, want := range map[string]string{
		"qemu+ssh://lab/system": "vmplan was built without libvirt", "test:///default": "vmplan was built without libvirt",
		"xen:///": "no driver for this scheme, there are: sim", "sim:mem": "Plan: 1 to create",
	} {
		cmd := w.command()
		cmd.Path, cmd.Args = program, []string{program, "plan", "--var", "uri=" + uri}
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) || (exitOf(cmd) == 0) != (uri == "sim:mem") {
			t.Errorf("%s: it exits with %d and says\n%s", uri, exitOf(cmd), out)
		}
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T, args ...string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var packages []goPackage
	for dec := json.NewDecoder(out); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return packages
}

func mayImport(allowed, path string) bool {
	return slices.ContainsFunc(strings.Fields(allowed), func(a string) bool {
		return a == path || strings.HasSuffix(a, "/") && strings.HasPrefix(path, a)
	})
}

// isThirdParty: the standard library's paths have no dot in their first element.
func isThirdParty(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}

func fromModule(allowed, path string) bool {
	return slices.ContainsFunc(strings.Fields(allowed), func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") })
}

// The engine is for other programs: it neither prints nor exits, and leaves the process and its environment alone.
func TestTheEngineLeavesTheProcessAlone(t *testing.T) {
	files, err := filepath.Glob("../../planner/engine/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, no := range []string{"os.Args", "os.Exit", "os.Stdout", "os.Stderr", "os.Stdin", "os.Getenv", "os.LookupEnv", "os.Environ", "os.Chdir", "fmt.Print", "slog.Default", "log.Fatal"} {
			if strings.Contains(string(text), no) {
				t.Errorf("%s has %s", file, no)
			}
		}
	}
}
