//go:build !nolibvirt

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
)

// usageCache remembers for a moment who uses which volume. Without it, deleting N volumes would read all domains and
// volumes N times. It is dropped whenever this driver makes something, and a user that it names is asked again.
type usageCache struct {
	mu    sync.Mutex
	users map[string][]string // by Key, as in observation
	idle  []*livePool         // whose volumes could not be asked for
	at    time.Time
}

// usageAge is how long the answer "nobody uses it" is believed. What others do in that time could as well happen between
// asking and deleting.
const usageAge = 5 * time.Second

func (u *usageCache) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.users = nil
}

// usersOf lists the Keys of domains and volumes that use the volume now; running tells whether what a running guest has
// open counts, beside what is defined.
func (c *call) usersOf(id string, running bool) ([]string, error) {
	users, _, err := c.usage.of(c.ctx, c.session, string(resource.KindVolume)+"/"+id)
	if err != nil || len(users) == 0 {
		return nil, err
	}
	pools, err := readPools(c.session)
	if err != nil {
		return nil, err
	}
	var still []string
	for _, user := range users {
		uses, err := c.stillUses(pools, user, id, running)
		if err != nil {
			return nil, err
		}
		if uses {
			still = append(still, user)
		}
	}
	return still, nil
}

func (u *usageCache) of(ctx context.Context, s *session, key string) ([]string, []*livePool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.users == nil || time.Since(u.at) > usageAge {
		start := time.Now()
		o := &observation{session: s, strict: true, users: map[string][]string{}}
		var err error
		if o.pools, err = readPools(s); err != nil {
			return nil, nil, err
		}
		if err := o.readStorage(ctx); err != nil {
			return nil, nil, fmt.Errorf("find out who uses %s: %w", strings.Replace(key, "/", " ", 1), err)
		}
		if err := o.readDomains(ctx); err != nil {
			return nil, nil, err
		}
		u.users, u.idle, u.at = o.users, o.pools.idle(), start
	}
	return slices.Clone(u.users[key]), u.idle, nil
}

// idle lists the pools that are not active and may have overlays in them, but for those whose folder an active one shows.
func (pools poolIndex) idle() []*livePool {
	shown := map[string]bool{}
	for _, p := range pools {
		shown[p.path] = shown[p.path] || p.active
	}
	var out []*livePool
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		p := pools[name]
		if slices.Contains([]string{"dir", "fs", "netfs"}, p.kind) && !shown[p.path] {
			out = append(out, p)
		}
	}
	return out
}

// checkIdle makes sure that nothing in the pools that libvirt does not look into can stand on the volume. libvirt would have to
// start them to tell, which is not for us to do.
func (c *call) checkIdle(id string) error {
	_, idle, err := c.usage.of(c.ctx, c.session, string(resource.KindVolume)+"/"+id)
	if err != nil || len(idle) == 0 {
		return err
	}
	name, _, _ := strings.Cut(id, "/")
	pool, err := c.pool(name)
	if err != nil {
		return err
	}
	defer freePool(pool)
	folder, err := c.folderOf(pool) // tells whether the host's folders are those that are seen here
	if err != nil {
		return err
	}
	for _, p := range idle {
		if folder != "" && p.kind == "dir" {
			files, err := os.ReadDir(p.path)
			if errors.Is(err, fs.ErrNotExist) || err == nil && len(files) == 0 {
				continue
			}
		}
		return fmt.Errorf("delete volume %s: pool %s is not active, so it cannot be seen whether a volume in it stands on this one: start it (virsh pool-start %s), or undefine it (virsh pool-undefine %s)",
			id, p.name, p.name, p.name)
	}
	return nil
}

// stillUses asks one user again.
func (c *call) stillUses(pools poolIndex, user, id string, running bool) (bool, error) {
	kind, name, _ := strings.Cut(user, "/")
	if kind == string(resource.KindVolume) {
		live, err := c.readVolumeByID(name)
		if err != nil {
			return false, ignoreMissing(err)
		}
		return pools.volumeID(live.backing) == id, nil
	}
	dom, err := c.conn.LookupDomainByName(name)
	if err != nil {
		return false, ignoreMissing(fail(err, "look up domain %s", name))
	}
	defer freeDomain(dom)
	o := &observation{session: c.session, pools: pools}
	flags := []libvirt.DomainXMLFlags{libvirt.DOMAIN_XML_INACTIVE}
	if running {
		flags = append(flags, 0)
	}
	for _, f := range flags {
		def, err := domainTree(dom, f)
		if err != nil {
			return false, ignoreMissing(err)
		}
		if slices.Contains(o.usedBy(def), string(resource.KindVolume)+"/"+id) {
			return true, nil
		}
	}
	return false, nil
}

func ignoreMissing(err error) error {
	if missing(err) {
		return nil
	}
	return err
}

// joinUsers writes Keys for people: "vm web, volume default/db.qcow2".
func joinUsers(keys []string) string {
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = strings.Replace(k, "/", " ", 1)
	}
	return strings.Join(texts, ", ")
}
