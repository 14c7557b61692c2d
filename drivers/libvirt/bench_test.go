//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// BenchmarkObserve reads hosts with so many vms, each with a root disk, a seed and a NIC. Its floor is a program that lists and
// dumps the same objects, one after the other.
func BenchmarkObserve(b *testing.B) {
	for _, count := range []int{300, 1000} {
		b.Run(fmt.Sprintf("vms=%d", count), func(b *testing.B) {
			host := libvirttest.Start(b)
			want := fillHost(b, host, count)
			b.Run("floor", func(b *testing.B) {
				for b.Loop() {
					dumpAll(b, host.URI)
				}
			})
			b.Run("observe", func(b *testing.B) {
				defer func() { b.Log("peak memory:", peakMemory(b)) }()
				for b.Loop() {
					d := openURI(b, host.URI, nil)
					o, err := d.Observe(b.Context(), drivers.Selection{Lineage: "bench", Want: want})
					if err != nil {
						b.Fatal(err)
					}
					if len(o.Objects) != len(want) {
						b.Fatalf("there are %d objects, not %d", len(o.Objects), len(want))
					}
				}
			})
		})
	}
}

// fillHost makes count vms, with their volumes as plain files, and gives all objects in canonical form.
func fillHost(b *testing.B, host *libvirttest.Host, count int) []resource.Resource {
	b.Helper()
	d := openURI(b, host.URI, nil)
	meta := func(kind resource.Kind, name string) resource.Meta {
		return resource.Meta{Addr: resource.Addr{Kind: kind, Name: name}, Name: name}
	}
	folder := filepath.Join(host.Dir, "pool")
	pool := &resource.Pool{Meta: meta(resource.KindPool, "bench"), Path: folder}
	lan := &resource.Network{Meta: meta(resource.KindNetwork, "lan"), Mode: "isolated", CIDR: "10.77.0.0/16"}
	want := []resource.Resource{normal(b, d, pool), normal(b, d, lan)}
	for _, r := range want {
		do(b, d, drivers.NewCreate(r, nil))
	}
	root := filepath.Join(folder, "vm0-root.qcow2")
	do(b, d, drivers.NewCreate(normal(b, d, &resource.Volume{Meta: meta(resource.KindVolume, "vm0-root"), PoolName: "bench", File: "vm0-root.qcow2", Size: resource.GiB}), nil))
	disk, err := os.ReadFile(root)
	if err != nil {
		b.Fatal(err)
	}
	var vms []resource.Resource
	for i := range count {
		name := fmt.Sprintf("vm%d", i)
		v := &resource.Volume{Meta: meta(resource.KindVolume, name+"-root"), PoolName: "bench", File: name + "-root.qcow2", Size: resource.GiB}
		s := &resource.Seed{Meta: meta(resource.KindSeed, name+"-seed"), PoolName: "bench", File: name + "-seed.iso"}
		if err := os.WriteFile(filepath.Join(folder, v.File), disk, 0o600); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, s.File), make([]byte, 64<<10), 0o600); err != nil {
			b.Fatal(err)
		}
		vm := &resource.VM{
			Meta: meta(resource.KindVM, name), Memory: resource.GiB,
			Disks: []resource.Disk{{Label: "root", Source: resource.VolumeID(v)}, {Label: "seed", Source: resource.VolumeID(s), ReadOnly: new(true)}},
			NICs:  []resource.NIC{{Label: "lan", Source: "lan", MAC: fmt.Sprintf("52:54:00:00:%02x:%02x", i/256, i%256)}},
		}
		want = append(want, normal(b, d, v), normal(b, d, s))
		vms = append(vms, normal(b, d, vm))
	}
	var group errgroup.Group
	group.SetLimit(4)
	for _, vm := range vms {
		group.Go(func() error {
			_, err := d.Do(b.Context(), drivers.NewCreate(vm, &drivers.Mark{Lineage: "bench", Addr: vm.Base().Addr, Version: "0.1.0"}), nil)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return append(want, vms...)
}

// dumpAll is the floor: one connection, every domain's and volume's XML.
func dumpAll(b *testing.B, uri string) {
	conn, err := libvirt.NewConnect(uri)
	check(b, err)
	defer conn.Close()
	domains, err := conn.ListAllDomains(0)
	check(b, err)
	for _, dom := range pointers(domains) {
		_, err := dom.GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE)
		check(b, err)
		freeDomain(dom)
	}
	pools, err := conn.ListAllStoragePools(0)
	check(b, err)
	for _, pool := range pointers(pools) {
		volumes, err := pool.ListAllStorageVolumes(0)
		check(b, err)
		for _, v := range pointers(volumes) {
			_, err := v.GetXMLDesc(0)
			check(b, err)
			freeVolume(v)
		}
		freePool(pool)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func normal[R resource.Resource](t testing.TB, d *driver, r R) R {
	t.Helper()
	n, err := d.Normalize(r)
	check(t, err)
	return n.(R)
}

func do(t testing.TB, d *driver, op drivers.Op) drivers.Result {
	t.Helper()
	r, err := d.Do(t.Context(), op, nil)
	check(t, err)
	return r
}

// peakMemory is the most that this process has had in memory, as the kernel says it.
func peakMemory(b *testing.B) string {
	text, err := os.ReadFile("/proc/self/status")
	check(b, err)
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// BenchmarkCreate makes a hundred vms, each an overlay, a seed and a definition, four at once, and beside it the same calls by
// hand.
func BenchmarkCreate(b *testing.B) {
	const count, parallel = 100, 4
	host := libvirttest.Start(b)
	d := openURI(b, host.URI, nil)
	meta := func(kind resource.Kind, name string) resource.Meta {
		return resource.Meta{Addr: resource.Addr{Kind: kind, Name: name}, Name: name}
	}
	folder := filepath.Join(host.Dir, "pool")
	do(b, d, drivers.NewCreate(normal(b, d, &resource.Pool{Meta: meta(resource.KindPool, "bench"), Path: folder}), nil))
	base := normal(b, d, &resource.Volume{Meta: meta(resource.KindVolume, "base"), PoolName: "bench", File: "base.qcow2", Size: resource.GiB})
	do(b, d, drivers.NewCreate(base, nil))
	salt := []byte("salt")
	round := 0
	all := func(one func(name string) error) {
		round++
		var group errgroup.Group
		group.SetLimit(parallel)
		for i := range count {
			group.Go(func() error { return one(fmt.Sprintf("r%dvm%d", round, i)) })
		}
		check(b, group.Wait())
	}
	b.Run("floor", func(b *testing.B) {
		conn, err := libvirt.NewConnect(host.URI)
		check(b, err)
		defer conn.Close()
		pool, err := conn.LookupStoragePoolByName("bench")
		check(b, err)
		defer freePool(pool)
		for b.Loop() {
			all(func(name string) error { return createByHand(conn, pool, folder, name) })
		}
	})
	b.Run("driver", func(b *testing.B) {
		for b.Loop() {
			all(func(name string) error {
				v := &resource.Volume{Meta: meta(resource.KindVolume, name), PoolName: "bench", File: name + ".qcow2", Size: resource.GiB, Backing: "bench/base.qcow2"}
				s := &resource.Seed{
					Meta: meta(resource.KindSeed, name), PoolName: "bench", File: name + ".iso",
					UserData: resource.NewSecret("#cloud-config\n", salt), MetaData: resource.NewSecret("instance-id: "+name+"\n", salt),
				}
				vm := &resource.VM{
					Meta: meta(resource.KindVM, name), Memory: resource.GiB,
					Disks: []resource.Disk{{Label: "root", Source: resource.VolumeID(v)}, {Label: "seed", Source: resource.VolumeID(s), ReadOnly: new(true)}},
				}
				for _, r := range []resource.Resource{v, s, vm} {
					r, err := d.Normalize(r)
					if err == nil {
						_, err = d.Do(b.Context(), drivers.NewCreate(r, &drivers.Mark{Lineage: "bench", Addr: r.Base().Addr, Version: "0.1.0"}), nil)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
	})
}

func createByHand(conn *libvirt.Connect, pool *libvirt.StoragePool, folder, name string) error {
	v, err := pool.StorageVolCreateXML(fmt.Sprintf(`<volume><name>%s.qcow2</name><capacity>1073741824</capacity><target><format type='qcow2'/></target>
<backingStore><path>%s/base.qcow2</path><format type='qcow2'/></backingStore></volume>`, name, folder), 0)
	if err != nil {
		return err
	}
	freeVolume(v)
	if err := os.WriteFile(filepath.Join(folder, name+".iso"), make([]byte, 50<<10), 0o600); err != nil {
		return err
	}
	vm := &resource.VM{Memory: resource.GiB, MaxMemory: resource.GiB, VCPUs: 1, MaxVCPUs: 1, Disks: []resource.Disk{{Label: "root", Bus: "virtio", Device: "disk"}, {Label: "seed", Bus: "virtio", Device: "disk", ReadOnly: new(true)}}}
	vm.Name = name
	files := map[string]definition.File{"root": {Path: filepath.Join(folder, name+".qcow2"), Format: "qcow2"}, "seed": {Path: filepath.Join(folder, name+".iso"), Format: "raw"}}
	for i := range vm.Disks {
		vm.Disks[i].Source = vm.Disks[i].Label
	}
	def, err := definition.NewVM(vm, &definition.Context{
		Host: &definition.Host{Arch: "x86_64", DomainTypes: []string{"qemu"}},
		File: func(label string) (definition.File, error) { return files[label], nil },
	})
	if err != nil {
		return err
	}
	dom, err := conn.DomainDefineXML(def.String())
	if err == nil {
		freeDomain(dom)
	}
	return err
}
