//go:build linux && !nolibvirt

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// programProject has a host that the program named by a URI is run for.
const programProject = `
-- main.hcl --
host "lab" {
  uri = "URI"
}
vm "web" {
  disk "root" {
    size = "1GiB"
  }
  nic "lan" {
    network = network.lan
  }
}
network "lan" {
  cidr = "10.73.1.0/24"
}
output "address" {
  value = vm.web.nic.lan.address
}
-- p --
#!/bin/sh
touch ran
-- evil/appliance.hcl --
appliance "evil" {
  host "lab" {
    uri = "URI"
  }
  vm {
    disk "root" {
      size = "1GiB"
    }
  }
}
`

// checksum is that of a state, which one that was written by hand does without.
var checksum = regexp.MustCompile(`"checksum": "[^"]*",?`)

// TestNoProgramOfAURIRuns holds plan, list, show, output and others to running no program that a URI names, wherever it stands; and
// that the program would run if the operator allowed it.
func TestNoProgramOfAURIRuns(t *testing.T) {
	commands := [][]string{{"plan"}, {"list"}, {"show"}, {"output"}, {"validate"}, {"explain", "vm.web"}, {"ssh", "vm.web"}, {"orphans"}, {"stop", "vm.web"}, {"apply", "--auto-approve"}, {"destroy", "--auto-approve"}}
	for name, uri := range map[string]string{
		"command": "qemu+ssh://x/system?command=DIR/p",
		"ext":     "qemu+ext:///system?command=DIR/p",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			project := func(uri string) *workdir {
				w := newWorkdir(t, "")
				w.write(strings.ReplaceAll(programProject, "URI", strings.ReplaceAll(uri, "DIR", w.dir)))
				if err := os.Chmod(filepath.Join(w.dir, "p"), 0o755); err != nil {
					t.Fatal(err)
				}
				return w
			}
			ran := func(w *workdir) bool {
				_, err := os.Stat(filepath.Join(w.dir, "ran"))
				return err == nil
			}
			refused := func(w *workdir, where string, args []string) {
				t.Helper()
				code, output := w.run(args...)
				if code != 1 || !strings.Contains(output, "can run a program or write a file: refused") {
					t.Errorf("%s: vmplan %q exits with %d and says\n%s", where, args, code, output)
				}
				if ran(w) {
					t.Fatalf("%s: vmplan %q runs the program", where, args)
				}
			}

			file := project(uri)
			for _, args := range [][]string{{"plan"}, {"output"}, {"validate"}, {"apply", "--auto-approve"}} {
				refused(file, "file", args)
			}
			refused(file, "file", []string{"plan", "--untrusted", "--allow-host", strings.ReplaceAll(uri, "DIR", file.dir)})

			record := project("sim:lab.json")
			record.must(0, "apply", "--auto-approve")
			state, err := os.ReadFile(filepath.Join(record.dir, "vmplan.vmstate"))
			if err != nil {
				t.Fatal(err)
			}
			record.write("-- vmplan.vmstate --\n" + strings.ReplaceAll(checksum.ReplaceAllString(string(state), ""), "sim:lab.json", strings.ReplaceAll(uri, "DIR", record.dir)))
			record.write("-- main.hcl --\noutput \"one\" {\n  value = 1\n}\n")
			for _, args := range commands {
				if args[0] != "validate" && args[0] != "explain" {
					refused(record, "record", args)
					refused(record, "record", append([]string{"--allow-uri-programs"}, args...))
				}
			}

			appliance := project(uri)
			appliance.write("-- main.hcl --\nappliance \"evil\" {\n  source = \"./evil\"\n}\nvm \"web\" {\n  appliance = appliance.evil\n}\n")
			for _, args := range commands {
				_, output := appliance.run(append([]string{"--allow-uri-programs"}, args...)...)
				if args[0] == "plan" && !strings.Contains(output, `An appliance block has no block "host"`) {
					t.Errorf("appliance: vmplan %q says\n%s", args, output)
				}
				if ran(appliance) {
					t.Fatalf("appliance: vmplan %q runs the program", args)
				}
			}

			// Allowed, the program runs, or this test shows nothing: of a file, and of a record whose uri the files say too.
			record.write("-- main.hcl --\nhost \"lab\" {\n  uri = \"" + strings.ReplaceAll(uri, "DIR", record.dir) + "\"\n}\n")
			refused(record, "record and file", []string{"list"})
			for w, command := range map[*workdir]string{file: "plan", record: "list"} {
				if _, output := w.run("--allow-uri-programs", command); !ran(w) {
					t.Errorf("%s: allowed, the program does not run:\n%s", command, output)
				}
			}
		})
	}
}
