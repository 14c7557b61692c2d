package planner_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

// chain is an image, one that is built from it, one that is built from that, and a disk upon the last: each with its version.
type chain struct {
	Debian, Golden, Shop int
	Disk                 bool
	Stay                 string // on_image_change
}

func (c chain) set(t testing.TB) *resource.Set {
	pool := addr(t, "pool.default")
	image := func(name, file string) *resource.Image {
		return &resource.Image{Meta: meta(t, "image."+name, name), Format: "qcow2", Pool: pool, PoolName: "default", File: file + ".qcow2"}
	}
	built := func(name, file string, from *resource.Image) *resource.Image {
		img := image(name, file)
		img.From, img.Origin = from.Addr, resource.VolumeID(from)
		img.Seal = &resource.Seal{Commands: []resource.Command{{Number: "1", Text: file}}}
		return img
	}
	debian := image("debian", fmt.Sprintf("debian-%d", c.Debian))
	debian.Source = debian.File
	golden := built("golden", fmt.Sprintf("golden-%d-%d", c.Debian, c.Golden), debian)
	shop := built("shop", fmt.Sprintf("shop-%d-%d-%d", c.Debian, c.Golden, c.Shop), golden)
	set := resource.NewSet(
		&resource.Host{Meta: resource.Meta{Addr: addr(t, "host.lab")}, URI: "sim:mem"},
		&resource.Pool{Meta: meta(t, "pool.default", "default"), UUID: "10000000-0000-4000-8000-000000000001", Path: "/srv/vm"},
		debian, golden, shop,
	)
	if c.Disk {
		set.Add(&resource.Volume{
			Meta: meta(t, "volume.data", "data"), Size: 4 * resource.GiB, Pool: pool, PoolName: "default", File: "data.qcow2",
			Image: shop.Addr, Backing: resource.VolumeID(shop), OnImageChange: c.Stay,
		})
	}
	return set
}

func randomChain(r *rand.Rand) chain {
	return chain{Debian: pick(r, 1, 1, 2), Golden: pick(r, 1, 2, 3), Shop: pick(r, 1, 1, 2), Disk: r.IntN(2) == 0, Stay: pick(r, "", "ignore")}
}

// mustHaveBases wants on the host, for each image, a base that was whole: the one that is recorded so, or what it replaces.
func (w *world) mustHaveBases() {
	w.t.Helper()
	data, err := w.host.Data()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range []string{"debian", "golden", "shop"} {
		found := false
		for a, rec := range w.snap.Records {
			img, ok := rec.Object.(*resource.Image)
			whole := a.Part != "" || ok && rec.Status == state.StatusReady
			found = found || ok && a.Name == name && whole && data.Volumes[resource.VolumeID(img)] != nil
		}
		if !found {
			w.t.Fatalf("nothing is left of image.%s:\n%s", name, w.text())
		}
	}
}

// Images are built from each other and built anew, and every run is killed, whatever it was at: no image is ever without a
// base that is whole, no plan is refused for what an interrupted run left, and the last run, which nobody kills, leaves nothing of it.
func TestABaseStaysUntilTheNextIsWhole(t *testing.T) {
	for seed := range seeds(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			var story strings.Builder
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(story.String())
				}
			})
			r := rand.New(rand.NewPCG(seed, 5))
			w := newWorld(t)
			w.converge(randomChain(r).set(t), planner.Options{})
			for range 4 {
				files := randomChain(r)
				p := w.plan(files.set(t), planner.Options{})
				fmt.Fprintf(&story, "\n%+v\n%s", files, p)
				order := randomOrder(r, p)
				if len(order) == 0 {
					continue
				}
				at := crash{step: r.IntN(len(order)), intent: r.IntN(3) > 0, effect: r.IntN(2) == 0}
				fmt.Fprintf(&story, "killed at %q %+v\n", p.Steps[order[at.step]].ID, at)
				w.apply(p, order, &at)
				w.mustHaveBases()
			}
			files := randomChain(r)
			files.Disk = false
			fmt.Fprintf(&story, "\n%+v\n%s", files, w.converge(files.set(t), planner.Options{}))
			w.mustBeEmpty(files.set(t), planner.Options{})
			fresh := newWorld(t)
			fresh.converge(files.set(t), planner.Options{})
			if got, want := w.text(), fresh.text(); got != want {
				t.Errorf("in the end, with %+v:\n%s", files, difference(got, want))
			}
		})
	}
}
