package oci_test

import (
	"fmt"
	"runtime"
	"testing"

	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"vmplan.dev/vmplan/drivers/source/oci/ocitest"
)

func otherArch() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

func TestDisksComeOutOfARegistryInEveryLayoutThatIsInUse(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	raw, other := bits(3<<20, "this"), bits(2<<20, "other")
	disk := qcow2(t, raw)
	at := "oci://" + reg.Host + "/"

	plain := reg.ContainerDisk(t, "vm/plain", "v1", runtime.GOARCH, ocitest.Tar(t, "disk/disk.qcow2", disk))
	reg.ContainerDisk(t, "vm/dotted", "v1", runtime.GOARCH, ocitest.Tar(t, "./disk/disk.img", raw))
	foreign := reg.ContainerDisk(t, "vm/plain", "", otherArch(), ocitest.Tar(t, "disk/disk.img", other))
	reg.Index(t, "vm/plain", "both", foreign, plain)
	reg.Index(t, "vm/plain", "foreign", foreign)
	reg.Artifact(t, "files/one", "latest", map[string][]byte{"disk.qcow2": disk, "README.md": bits(5<<20, "long")})
	reg.Artifact(t, "files/two", "latest", map[string][]byte{"system.raw": raw, "data.raw": other})

	u := newUser(t)
	for _, c := range []struct {
		location string
		want     []byte
	}{
		{"vm/plain:v1", disk},
		{"vm/plain@" + plain.Digest.String(), disk},
		{"vm/plain:v1@" + plain.Digest.String(), disk},
		{"vm/dotted:v1", raw},
		{"vm/plain:both", disk},
		{"vm/plain:both?arch=" + otherArch(), other},
		{"files/one", disk},
		{"files/one#disk.qcow2", disk},
		{"files/two#data.raw", other},
	} {
		u.mustGet(at+c.location, c.want)
	}
	u.mustNotGet(at+"vm/plain:foreign", "it has nothing for "+runtime.GOARCH, "linux/"+otherArch(), "?arch=ARCH")
	u.mustNotGet(at+"files/two", "it has several disks", "data.raw", "system.raw", "#NAME")
	u.mustNotGet(at+"files/two#nothing.raw", `it has no file "nothing.raw"`)
	u.mustNotGet(at+"vm/plain:v2", "the registry has no v2 in vm/plain")
	u.mustNotGet(at+"vm/nobody:v1", "the registry has no v1 in vm/nobody")
}

func TestIndexesWithinIndexesEnd(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	disk := bits(1<<20, "disk")
	at := reg.ContainerDisk(t, "x", "", runtime.GOARCH, ocitest.Tar(t, "disk/disk.img", disk))
	u := newUser(t)
	for depth := range 10 {
		tag := fmt.Sprintf("deep%d", depth)
		at = reg.Index(t, "x", tag, at)
		at.Platform = &specs.Platform{Architecture: runtime.GOARCH, OS: "linux"}
		if depth < 3 {
			u.mustGet("oci://"+reg.Host+"/x:"+tag, disk)
		} else {
			u.mustNotGet("oci://"+reg.Host+"/x:"+tag, "an index of indexes, more than 4 deep")
		}
	}
}
