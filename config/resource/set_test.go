package resource

import (
	"slices"
	"sync"
	"testing"
)

func TestASetGivesItsObjectsInOrder(t *testing.T) {
	var rs []Resource
	for _, s := range []string{`vm.web[10]`, `vm.web[9]`, `vm.web["a"]`, "vm.app", "network.lan", "host.lab", "module.m.pool.p", "image.debian"} {
		a, err := ParseAddr(s)
		if err != nil {
			t.Fatal(err)
		}
		r, err := New(a.Kind)
		if err != nil {
			t.Fatal(err)
		}
		r.Base().Addr = a
		rs = append(rs, r)
	}
	set := NewSet(rs...)
	want := []string{"host.lab", "network.lan", "image.debian", "vm.app", `vm.web["a"]`, "vm.web[9]", "vm.web[10]", "module.m.pool.p"}
	var wg sync.WaitGroup
	for range 4 { // readers need no lock of their own
		wg.Go(func() {
			var got []string
			for a := range set.All() {
				got = append(got, a.String())
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
	wg.Wait()

	first := rs[0].Base().Addr
	set.Add(&VM{Meta: Meta{Addr: first, Name: "other"}})
	if set.Len() != len(rs) || set.Get(first).Base().Name != "other" {
		t.Errorf("an object added under the same address did not replace the first: %d objects", set.Len())
	}
	if vms := slices.Collect(Of[*VM](set)); len(vms) != 4 {
		t.Errorf("%d vms", len(vms))
	}
}

func TestStorageObjectsShareOneNameSpaceOnAHost(t *testing.T) {
	image := &Image{PoolName: "default", File: "a.qcow2"}
	volume := &Volume{PoolName: "default", File: "a.qcow2"}
	if Key(image) != Key(volume) || Key(image) != "volume/default/a.qcow2" {
		t.Errorf("%q and %q", Key(image), Key(volume))
	}
	if got := Key(&VM{Meta: Meta{Name: "web"}}); got != "vm/web" {
		t.Errorf("%q", got)
	}
}
