package guest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/kdomanski/iso9660"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/guest"
)

func secret(text string) resource.Secret { return resource.NewSecret(text, []byte("salt")) }

func newSeed() *resource.Seed {
	s := &resource.Seed{
		UserData: secret("#cloud-config\nhostname: web\n"), MetaData: secret("instance-id: i-1\nlocal-hostname: web\n"),
		NetworkConfig: secret("version: 2\n"),
	}
	s.Addr = resource.Addr{Kind: resource.KindVM, Name: "web", Part: "seed"}
	return s
}

// readSeed reads an image back: its label and its files.
func readSeed(t *testing.T, image []byte) (string, map[string]string) {
	t.Helper()
	opened, err := iso9660.OpenImage(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	label, err := opened.Label()
	if err != nil {
		t.Fatal(err)
	}
	root, err := opened.RootDir()
	if err != nil {
		t.Fatal(err)
	}
	children, err := root.GetChildren()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range children {
		data, err := io.ReadAll(f.Reader())
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name()] = string(data)
	}
	return label, files
}

func TestSeedHoldsWhatIsSet(t *testing.T) {
	image, err := guest.BuildSeed(newSeed())
	if err != nil {
		t.Fatal(err)
	}
	label, files := readSeed(t, image)
	if label != "cidata" {
		t.Errorf("label %q, want cidata", label)
	}
	want := map[string]string{
		"user-data": "#cloud-config\nhostname: web\n", "meta-data": "instance-id: i-1\nlocal-hostname: web\n", "network-config": "version: 2\n",
	}
	if fmt.Sprint(files) != fmt.Sprint(want) {
		t.Errorf("files %q, want %q", files, want)
	}
}

func TestSeedWithNothingSetHasTheTwoFilesThatCloudInitWants(t *testing.T) {
	image, err := guest.BuildSeed(&resource.Seed{})
	if err != nil {
		t.Fatal(err)
	}
	_, files := readSeed(t, image)
	if fmt.Sprint(files) != fmt.Sprint(map[string]string{"user-data": "", "meta-data": ""}) {
		t.Errorf("files %q, want empty user-data and meta-data alone", files)
	}
}

func TestSeedKeepsFilesOfEverySizeApart(t *testing.T) {
	for _, size := range []int{1, 2047, 2048, 2049, 100_000} {
		seed := newSeed()
		user, vendor := strings.Repeat("u", size), strings.Repeat("v", size)
		seed.UserData, seed.VendorData = secret(user), secret(vendor)
		image, err := guest.BuildSeed(seed)
		if err != nil {
			t.Fatal(err)
		}
		_, files := readSeed(t, image)
		if files["user-data"] != user || files["vendor-data"] != vendor || files["network-config"] != "version: 2\n" {
			t.Errorf("with %d bytes a file came back different", size)
		}
	}
}

func TestEqualSeedsAreEqualBytes(t *testing.T) {
	a, errA := guest.BuildSeed(newSeed())
	b, errB := guest.BuildSeed(newSeed())
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("two images of one seed differ (%v, %v)", errA, errB)
	}
	changed := newSeed()
	changed.UserData = secret("#cloud-config\nhostname: wob\n")
	if c, _ := guest.BuildSeed(changed); bytes.Equal(a, c) {
		t.Error("another content gives the same image")
	}
}

func TestSeedOfASavedPlanWithoutItsTextIsRefused(t *testing.T) {
	text, err := json.Marshal(newSeed())
	if err != nil {
		t.Fatal(err)
	}
	saved := newSeed()
	saved.UserData, saved.MetaData, saved.NetworkConfig = resource.Secret{}, secret("clear"), resource.Secret{}
	if err := json.Unmarshal(text, saved); err != nil {
		t.Fatal(err)
	}
	_, err = guest.BuildSeed(saved)
	if err == nil || !strings.Contains(err.Error(), "vm.web.seed: meta_data is known only by its hash") {
		t.Errorf("error %v, want one that names the seed and the file", err)
	}
}

func TestSystemToolsReadTheSeed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the tools are those of Linux")
	}
	image, err := guest.BuildSeed(newSeed())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "seed.iso")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tool := range []struct{ argv, want []string }{
		{[]string{"blkid", "-p", path}, []string{`LABEL="cidata"`, `TYPE="iso9660"`}},
		{[]string{"isoinfo", "-f", "-i", path}, []string{"user-data", "meta-data", "network-config"}},
	} {
		t.Run(tool.argv[0], func(t *testing.T) {
			if _, err := exec.LookPath(tool.argv[0]); err != nil {
				t.Fatalf("%s is not installed (make setup installs it)", tool.argv[0])
			}
			out, err := exec.Command(tool.argv[0], tool.argv[1:]...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %v: %s", tool.argv, err, out)
			}
			for _, want := range tool.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("%v says %q, without %q", tool.argv, out, want)
				}
			}
		})
	}
}

func BenchmarkBuildSeed(b *testing.B) {
	seed := newSeed()
	for b.Loop() {
		if _, err := guest.BuildSeed(seed); err != nil {
			b.Fatal(err)
		}
	}
}
