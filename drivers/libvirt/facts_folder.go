//go:build !nolibvirt

package libvirt

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// guestUser is who QEMU runs as on this machine: uid -1 when that is not known.
type guestUser struct {
	uid, gid int
	session  bool // it is who vmplan runs as
}

// readGuestUser takes from the capabilities whose files guests are given: <baselabel type='kvm'>+64055:+64055</baselabel>.
func readGuestUser(caps *xmltree.Node, session bool) guestUser {
	who := guestUser{-1, -1, session}
	for _, model := range caps.Get("host").All("secmodel") {
		if model.Get("model").Text() != "dac" {
			continue
		}
		uid, gid, _ := strings.Cut(model.Get("baselabel").Text(), ":")
		u, err1 := strconv.Atoi(strings.TrimPrefix(uid, "+"))
		g, err2 := strconv.Atoi(strings.TrimPrefix(gid, "+"))
		if err1 == nil && err2 == nil {
			who.uid, who.gid = u, g
		}
	}
	return who
}

// readFolder looks at a folder of this machine as the daemon, which is root, or in a session is us, and its guests see it.
func (who guestUser) readFolder(path string) drivers.Folder {
	f := drivers.Folder{Nearest: path}
	info, err := os.Stat(path)
	for (errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)) && f.Nearest != "/" {
		f.Missing = true
		f.Nearest = filepath.Dir(f.Nearest)
		info, err = os.Stat(f.Nearest)
	}
	if err != nil {
		return drivers.Folder{Nearest: path} // we may not look, which says nothing of the daemon
	}
	if !info.IsDir() {
		f.NoFolder = true
		return f
	}
	err = unix.Access(f.Nearest, unix.W_OK|unix.X_OK)
	f.ReadOnly = errors.Is(err, unix.EROFS) || err != nil && who.session
	for dir := f.Nearest; ; dir = filepath.Dir(dir) {
		if who.denied(dir) {
			f.Closed, f.User = dir, who.name()
		}
		if dir == "/" {
			return f
		}
	}
}

// denied tells whether what is below the folder is surely out of the guests' reach. With an access list that is hard to tell.
func (who guestUser) denied(dir string) bool {
	var st unix.Stat_t
	if who.session || who.uid <= 0 || unix.Stat(dir, &st) != nil {
		return false
	}
	if n, err := unix.Getxattr(dir, "system.posix_acl_access", nil); err == nil && n > 0 {
		return false
	}
	bit := uint32(unix.S_IXOTH)
	switch {
	case int(st.Uid) == who.uid:
		bit = unix.S_IXUSR
	case int(st.Gid) == who.gid:
		bit = unix.S_IXGRP
	}
	return uint32(st.Mode)&bit == 0
}

func (who guestUser) name() string {
	if u, err := user.LookupId(strconv.Itoa(who.uid)); err == nil {
		return u.Username
	}
	return "the user " + strconv.Itoa(who.uid)
}

// readFolders looks at the folders of wanted pools.
func (o *observation) readFolders(who guestUser) map[string]drivers.Folder {
	out := map[string]drivers.Folder{}
	for _, r := range o.want {
		if pool, ok := r.(*resource.Pool); ok && pool.Path != "" {
			out[pool.Path] = who.readFolder(pool.Path)
		}
	}
	return out
}
