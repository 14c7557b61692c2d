package oci_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source/oci/ocitest"
)

const (
	applianceType = "application/vnd.vmplan.appliance.v1"
	filesType     = "application/vnd.vmplan.appliance.files.v1.tar+gzip"
)

func TestAnApplianceTravelsWithItsDisks(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{Users: map[string]string{"joe": "s3cret-word"}, Tokens: true})
	u := newUser(t)
	u.login(reg.Host, "joe", "s3cret-word")
	system, data := qcow2(t, bits(1<<20, "system")), bits(1<<20, "data")
	parcel := drivers.Parcel{
		Files: map[string][]byte{"appliance.hcl": []byte("appliance \"shop\" {}\n"), "files/web.yaml": []byte("#cloud-config\n")},
		Disks: map[string]drivers.Bits{"system": u.onDisk("qcow2", system), "data": u.onDisk("raw", data)},
	}
	at := "oci://" + reg.Host + "/team/shop:v1"
	first, err := u.source().PushAppliance(t.Context(), at, parcel, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := u.source().PullAppliance(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if got.Location != first || !maps.EqualFunc(got.Files, parcel.Files, bytes.Equal) {
		t.Errorf("came as %s with the files %q, want %s", got.Location, got.Files, first)
	}
	if names := slices.Sorted(maps.Keys(got.DiskLocations)); !slices.Equal(names, []string{"data", "system"}) {
		t.Fatalf("the disks are %q", names)
	}
	u.mustGet(got.DiskLocations["system"], system)
	u.mustGet(got.DiskLocations["data"], data)

	parcel.Disks["data"] = u.onDisk("raw", data)
	if again, err := u.source().PushAppliance(t.Context(), at, parcel, nil); err != nil || again != first {
		t.Errorf("the same appliance is %s, then %s (%v)", first, again, err)
	}
	u.mustNotGet("oci://"+reg.Host+"/team/shop:v2", "the registry has no v2")
}

// archive makes an appliance's files with whatever is put into them.
func archive(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range entries {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		for left, zeros := h.Size, make([]byte, 1<<20); left > 0; left -= int64(len(zeros)) {
			if _, err := w.Write(zeros[:min(left, int64(len(zeros)))]); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.Close()
	z.Close()
	return b.Bytes()
}

func TestAnApplianceThatWouldDoHarmIsRefused(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	many := make([]tar.Header, 1001)
	for i := range many {
		many[i].Name = fmt.Sprintf("f%d", i)
	}
	for name, c := range map[string]struct {
		files []byte
		want  string
	}{
		"a way out":             {archive(t, tar.Header{Name: "../../.bashrc"}), `"../../.bashrc" is no name`},
		"a way out from within": {archive(t, tar.Header{Name: "files/../../x"}), "is no name"},
		"an absolute path":      {archive(t, tar.Header{Name: "/etc/cron.d/x"}), "is no name"},
		"a path of Windows":     {archive(t, tar.Header{Name: `C:\x`}), "is no name"},
		"a hidden folder":       {archive(t, tar.Header{Name: ".vmplan/known_hosts"}), "is no name"},
		"a terminal's commands": {archive(t, tar.Header{Name: "a\x1b[2Jb"}), "is no name"},
		"no name":               {archive(t, tar.Header{Name: "./", Typeflag: tar.TypeDir}), "is no name"},
		"a symbolic link":       {archive(t, tar.Header{Name: "x", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}), "is no plain file"},
		"a hard link":           {archive(t, tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "/etc/shadow"}), "is no plain file"},
		"a device":              {archive(t, tar.Header{Name: "x", Typeflag: tar.TypeBlock, Devmajor: 8}), "is no plain file"},
		"a file twice":          {archive(t, tar.Header{Name: "a.hcl"}, tar.Header{Name: "A.hcl"}), "twice"},
		"many files":            {archive(t, many...), "more than 1000 files"},
		"a bomb":                {archive(t, tar.Header{Name: "x", Size: 65 << 20}), "larger than 64 MiB"},
		"half an archive":       {archive(t, tar.Header{Name: "x", Size: 1 << 20})[:600], "damaged"},
		"no archive":            {[]byte("hello"), "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			m := specs.Manifest{MediaType: specs.MediaTypeImageManifest, ArtifactType: applianceType}
			m.SchemaVersion = 2
			m.Config = reg.Blob(t, "x", specs.MediaTypeEmptyJSON, []byte("{}"))
			m.Layers = []specs.Descriptor{reg.Blob(t, "x", filesType, c.files)}
			d := reg.Manifest(t, "x", "", specs.MediaTypeImageManifest, m)
			d.ArtifactType = applianceType
			index := specs.Index{MediaType: specs.MediaTypeImageIndex, ArtifactType: applianceType, Manifests: []specs.Descriptor{d}}
			index.SchemaVersion = 2
			reg.Manifest(t, "x", "v1", specs.MediaTypeImageIndex, index)
			got, err := newUser(t).source().PullAppliance(t.Context(), "oci://"+reg.Host+"/x:v1")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, files %q; want %q", err, slices.Sorted(maps.Keys(got.Files)), c.want)
			}
		})
	}
	reg.Artifact(t, "x", "disk", map[string][]byte{"disk.raw": bits(1000, "")})
	if _, err := newUser(t).source().PullAppliance(t.Context(), "oci://"+reg.Host+"/x:disk"); err == nil || !strings.Contains(err.Error(), "it is not an appliance") {
		t.Errorf("an image is taken for an appliance: %v", err)
	}
}

func TestAnAppliancesFilesAreHeldToTheirDigest(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	parcel := drivers.Parcel{Files: map[string][]byte{"appliance.hcl": []byte("appliance \"shop\" {}\n")}}
	way := before(t, reg, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if isBlob(r) {
			w.Write(archive(t, tar.Header{Name: "forged.hcl"}))
		}
		return isBlob(r)
	})
	at := "oci://" + way.host() + "/x:v1"
	if _, err := newUser(t).source().PushAppliance(t.Context(), at, parcel, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := newUser(t).source().PullAppliance(t.Context(), at); err == nil || !strings.Contains(err.Error(), "not what their digest") {
		t.Errorf("error %v", err)
	}
}
