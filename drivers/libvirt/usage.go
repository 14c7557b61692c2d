//go:build !nolibvirt

package libvirt

import (
	"context"
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
	users, err := c.usage.of(c.ctx, c.session, string(resource.KindVolume)+"/"+id)
	if err != nil {
		return nil, err
	}
	var still []string
	for _, user := range users {
		uses, err := c.stillUses(user, id, running)
		if err != nil {
			return nil, err
		}
		if uses {
			still = append(still, user)
		}
	}
	return still, nil
}

func (u *usageCache) of(ctx context.Context, s *session, key string) ([]string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.users == nil || time.Since(u.at) > usageAge {
		start := time.Now()
		o := &observation{session: s, users: map[string][]string{}}
		var err error
		if o.pools, err = readPools(s); err != nil {
			return nil, err
		}
		if err := o.readStorage(ctx); err != nil {
			return nil, err
		}
		if err := o.readDomains(ctx); err != nil {
			return nil, err
		}
		u.users, u.at = o.users, start
	}
	return slices.Clone(u.users[key]), nil
}

// stillUses asks one user again.
func (c *call) stillUses(user, id string, running bool) (bool, error) {
	kind, name, _ := strings.Cut(user, "/")
	if kind == string(resource.KindVolume) {
		live, err := c.readVolumeByID(name)
		if err != nil {
			return false, ignoreMissing(err)
		}
		pools, err := readPools(c.session)
		return err == nil && pools.volumeID(live.backing) == id, err
	}
	dom, err := c.conn.LookupDomainByName(name)
	if err != nil {
		return false, ignoreMissing(fail(err, "look up domain %s", name))
	}
	defer freeDomain(dom)
	pools, err := readPools(c.session)
	if err != nil {
		return false, err
	}
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
