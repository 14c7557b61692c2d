//go:build !nolibvirt

package libvirt

import (
	"errors"
	"fmt"
	"os"
	"path"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
)

// createPool makes the folder if it is missing, defines, starts and autostarts the pool. Each of that may have been done.
func (c *call) createPool(p *resource.Pool) error {
	pool, err := c.conn.LookupStoragePoolByName(p.Name)
	created := missing(err)
	if created {
		pool, err = c.definePool(p)
		if p.Autostart == nil {
			p = resource.Clone(p)
			p.Autostart = new(true)
		}
	} else if err == nil {
		err = checkPool(pool, p)
	}
	if err != nil {
		return fail(err, "create pool %s", p.Name)
	}
	defer freePool(pool)
	err = bringUp(pool, p)
	if err != nil && created && !errors.Is(err, drivers.ErrUnavailable) {
		return undefineFailed(pool, err)
	}
	return err
}

func bringUp(pool *libvirt.StoragePool, p *resource.Pool) error {
	active, err := pool.IsActive()
	if err != nil {
		return fail(err, "create pool %s", p.Name)
	}
	if !active {
		if err := startPool(pool, p.Name); err != nil {
			return err
		}
	}
	return autostartPool(pool, p)
}

// undefineFailed undefines a pool that was defined and could not be brought up. "In use" or "in conflict" says that nothing was
// touched; with the pool left behind that would be wrong, and the next run would take it for somebody else's.
func undefineFailed(pool *libvirt.StoragePool, cause error) error {
	if active, err := pool.IsActive(); err == nil && active {
		_ = pool.Destroy() // Undefine tells if it is still up
	}
	if err := pool.Undefine(); err != nil && !missing(err) {
		return errors.New(cause.Error() + "; it stays defined, as undefining it failed too: " + err.Error()) // of neither kind
	}
	return cause
}

func (c *call) definePool(p *resource.Pool) (*libvirt.StoragePool, error) {
	folder := p.Path
	if folder == "" {
		var err error
		if folder, err = c.defaultPoolPath(); err != nil {
			return nil, err
		}
	}
	p = resource.Clone(p)
	p.Type, p.Path = "dir", folder
	def, err := definition.NewPool(p)
	if err != nil {
		return nil, err
	}
	return c.conn.StoragePoolDefineXML(def.String(), 0)
}

// defaultPoolPath is where the pool "default" lives when no file says otherwise.
func (c *call) defaultPoolPath() (string, error) {
	if c.uri.Path != "/session" {
		return "/var/lib/libvirt/images", nil
	}
	if !c.isLocal() {
		return "", fmt.Errorf("a pool of a session on another machine needs a path: %w", drivers.ErrUnsupported)
	}
	home, err := os.UserHomeDir()
	return path.Join(home, ".local/share/libvirt/images"), err
}

// checkPool tells whether the pool that is there is the one meant.
func checkPool(pool *libvirt.StoragePool, p *resource.Pool) error {
	live, err := readPool(pool)
	if err != nil || p.Implicit || p.UUID == "" || live.uuid == p.UUID {
		return err
	}
	return fmt.Errorf("%w: another pool has that name, at %s", drivers.ErrConflict, live.path)
}

func startPool(pool *libvirt.StoragePool, name string) error {
	// Building makes the folder; one that exists is fine.
	if err := pool.Build(libvirt.STORAGE_POOL_BUILD_NEW); err != nil && !notOffered(err) {
		return fail(err, "make the folder of pool %s", name)
	}
	err := pool.Create(libvirt.STORAGE_POOL_CREATE_NORMAL)
	if err != nil {
		if active, aliveErr := pool.IsActive(); aliveErr == nil && active {
			return nil // somebody else was faster
		}
	}
	return fail(err, "start pool %s", name)
}

func autostartPool(pool *libvirt.StoragePool, p *resource.Pool) error {
	if p.Autostart == nil {
		return nil
	}
	on, err := pool.GetAutostart()
	if err == nil && on != *p.Autostart {
		err = pool.SetAutostart(*p.Autostart)
	}
	return fail(err, "set autostart of pool %s", p.Name)
}

func (c *call) updatePool(after *resource.Pool) error {
	pool, err := c.conn.LookupStoragePoolByName(after.Name)
	if err != nil {
		return fail(err, "update pool %s", after.Name)
	}
	defer freePool(pool)
	if err := checkPool(pool, after); err != nil {
		return fail(err, "update pool %s", after.Name)
	}
	return autostartPool(pool, after)
}

// deletePool stops and undefines the pool, and removes its folder when that is empty.
func (c *call) deletePool(p *resource.Pool) error {
	pool, err := c.conn.LookupStoragePoolByName(p.Name)
	if missing(err) {
		return nil
	}
	if err != nil {
		return fail(err, "delete pool %s", p.Name)
	}
	defer freePool(pool)
	if err := checkPool(pool, p); err != nil {
		return fail(err, "delete pool %s", p.Name)
	}
	live, err := readPool(pool)
	if err != nil {
		return err
	}
	if live.active {
		if err := pool.Destroy(); err != nil {
			return fail(err, "stop pool %s", p.Name)
		}
	}
	if err := c.deleteFolder(pool, live); err != nil {
		return err
	}
	return fail(pool.Undefine(), "undefine pool %s", p.Name)
}

// deleteFolder removes the folder of a stopped pool if it is empty, which is what libvirt does for pools that are folders;
// otherwise what is in it stays. Of a volume group or a disk the same call would wipe all that is there.
func (c *call) deleteFolder(pool *libvirt.StoragePool, live *livePool) error {
	if live.kind != "dir" {
		return nil
	}
	err := pool.Delete(libvirt.STORAGE_POOL_DELETE_NORMAL)
	if err != nil && errors.Is(fail(err, "delete"), drivers.ErrUnavailable) {
		return fail(err, "remove the folder of pool %s", live.name)
	}
	if err != nil {
		c.env.Log.Debug("the folder of the pool stays", "pool", live.name, "reason", err)
	}
	return nil
}
