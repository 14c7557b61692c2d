package guest_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/guest"
)

func sealed(text string) resource.Secret { return resource.NewSecret(text, []byte("salt")) }

// What a guest is to do is in an archive that its own tar and sh can read: the script, a member for each command, whatever is in
// it, and the files below the root as they are to lie there.
func TestWhatAGuestThatBuildsIsGiven(t *testing.T) {
	img := &resource.Image{
		File: "golden-0a1b2c3d.qcow2",
		Build: &resource.Build{
			Commands: []resource.Command{{Number: "1", Text: "echo 'a\nb'"}, {Number: "2", Secret: sealed("login hush")}},
			Files: []resource.File{
				{Path: "/srv/a file", Content: sealed("one")}, {Path: "/srv/tool", Executable: true, Content: sealed("two")}, {Path: "/srv/link", Link: "../etc"},
			},
		},
		Seal: &resource.Seal{Keep: []string{"logs"}, Commands: []resource.Command{{Number: "1", Text: "last"}}},
	}
	b, err := guest.NewBuilding(img)
	if err != nil {
		t.Fatal(err)
	}
	again, err := guest.NewBuilding(img)
	if err != nil || !bytes.Equal(b.Steps, again.Steps) {
		t.Errorf("the same image gives other bytes: %v", err)
	}
	if len(b.Steps)%512 != 0 {
		t.Errorf("a disk of %d bytes has half a sector", len(b.Steps))
	}
	want := []string{"copy", "run 1", "run 2", "seal machine_id", "seal ssh_host_keys", "seal cloud_init", "seal history", "seal leases", "seal random_seed", "seal udev", "seal packages", "seal run 1", "seal free_space"}
	if !slices.Equal(b.Names, want) {
		t.Errorf("the steps are %q, want %q", b.Names, want)
	}
	members := unpack(t, b.Steps)
	if members["run-1"] != "echo 'a\nb'\n" || members["run-2"] != "login hush\n" || members["seal-run-1"] != "last\n" {
		t.Errorf("the commands are %q", members)
	}
	if strings.Contains(members["main"], "hush") || strings.Contains(members["main"], "echo 'a") {
		t.Error("what is run is in the script itself")
	}
	files := unpack(t, []byte(members["files.tar"]))
	if files["srv/a file"] != "one" || files["srv/tool"] != "two" || files["srv/link"] != "-> ../etc" {
		t.Errorf("the files are %q", files)
	}
	if user, _ := b.Seed.UserData.Clear(); strings.Contains(user, "hush") || !strings.HasPrefix(user, "#!/bin/sh\n") {
		t.Errorf("user data is\n%s", user)
	}
	checkShell(t, members["main"])
}

func unpack(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if out[h.Name] = string(text); h.Typeflag == tar.TypeSymlink {
			out[h.Name] = "-> " + h.Linkname
		}
		if h.Uid != 0 || h.Gid != 0 || h.Name == "srv/tool" && h.Mode&0o100 == 0 {
			t.Errorf("%s has the mode %o and belongs to %d", h.Name, h.Mode, h.Uid)
		}
	}
}

// checkShell has a shell read the script without running it.
func checkShell(t *testing.T, script string) {
	t.Helper()
	cmd := exec.Command("sh", "-n")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("sh does not understand the script: %v\n%s", err, out)
	}
}

// A plan that was read back from its file knows secrets by their hashes alone.
func TestABuildNeedsItsSecretsInClear(t *testing.T) {
	var hash resource.Secret
	if err := hash.UnmarshalJSON([]byte(`"0123"`)); err != nil {
		t.Fatal(err)
	}
	for _, img := range []*resource.Image{
		{Build: &resource.Build{Commands: []resource.Command{{Number: "1", Secret: hash}}}},
		{Build: &resource.Build{Files: []resource.File{{Path: "/x", Content: hash}}}},
		{Seal: &resource.Seal{Commands: []resource.Command{{Number: "1", Secret: hash}}}},
	} {
		if _, err := guest.NewBuilding(img); err == nil || !strings.Contains(err.Error(), "known only by its hash") {
			t.Errorf("%+v gives %v", img, err)
		}
	}
}

// What is sealed has a function in the script, whatever is kept.
func TestEveryPartThatIsSealedHasItsCommands(t *testing.T) {
	for _, part := range resource.SealParts {
		b, err := guest.NewBuilding(&resource.Image{Seal: &resource.Seal{}})
		if err != nil {
			t.Fatal(err)
		}
		if script := unpack(t, b.Steps)["main"]; strings.Count(script, "seal_"+part) != 2 {
			t.Errorf("%s is not done once and called once", part)
		}
		b, err = guest.NewBuilding(&resource.Image{Seal: &resource.Seal{Keep: []string{part}}})
		if err != nil || slices.Contains(b.Names, "seal "+part) {
			t.Errorf("%s is to be kept, and the steps are %q (%v)", part, b.Names, err)
		}
	}
}

func TestReadReport(t *testing.T) {
	for text, want := range map[string]guest.Report{
		"":                             {},
		"garbage":                      {},
		"vmplan-build running run 1\n": {Step: "run 1"},
		"vmplan-build running seal run 2\na\nb\n": {Step: "seal run 2", Log: "a\nb"},
		"vmplan-build failed 7 run 2\nno\xff\n":   {Step: "run 2", Failed: true, Code: 7, Log: "no?"},
		"vmplan-build failed x run 2\n":           {},
		"vmplan-build done\n":                     {Done: true},
	} {
		disk := append([]byte(text), make([]byte, 512)...)
		if got := guest.ReadReport(append(disk, "left over"...)); got != want {
			t.Errorf("%q is read as %+v, want %+v", text, got, want)
		}
	}
}

// FuzzReadReport: whatever a guest writes is read as something.
func FuzzReadReport(f *testing.F) {
	f.Add([]byte("vmplan-build failed 7 run 2\nlast words\n\x00"))
	f.Add([]byte("vmplan-build running \x00"))
	f.Fuzz(func(t *testing.T, disk []byte) {
		r := guest.ReadReport(disk)
		if r.Done && r.Failed || strings.ContainsRune(r.Log, 0) {
			t.Errorf("%q is read as %+v", disk, r)
		}
	})
}
