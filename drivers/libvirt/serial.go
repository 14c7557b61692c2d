//go:build !nolibvirt

package libvirt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// logPath is where a domain's serial console is logged; empty when it is not.
func logPath(def *xmltree.Node) string { return def.Get("devices", "serial", "log").Attr("file") }

// eachLog calls do for the serial log and its older parts (virtlogd keeps FILE.0, FILE.1, …), as volumes of their pool.
func (c *call) eachLog(def *xmltree.Node, do func(*libvirt.StorageVol, string) error) error {
	file := logPath(def)
	if file == "" || c.test {
		return nil
	}
	pool, err := c.conn.LookupStoragePoolByTargetPath(path.Dir(file))
	if missing(err) {
		return nil
	}
	if err != nil {
		return fail(err, "look up the pool of %s", file)
	}
	defer freePool(pool)
	name, err := pool.GetName()
	if err != nil {
		return fail(err, "look up the pool of %s", file)
	}
	for i := -1; ; i++ {
		part := path.Base(file)
		if i >= 0 {
			part = fmt.Sprintf("%s.%d", part, i)
		}
		vol, err := pool.LookupStorageVolByName(part)
		if missing(err) && i == -1 {
			if err := refresh(pool, name); err != nil {
				return err
			}
			vol, err = pool.LookupStorageVolByName(part)
		}
		if missing(err) {
			return nil
		}
		if err != nil {
			return fail(err, "look up %s", part)
		}
		err = do(vol, part)
		freeVolume(vol)
		if err != nil {
			return err
		}
	}
}

// deleteLog removes the serial log of a vm. One that is not called as this driver calls it was somebody else's choice, and stays.
func (c *call) deleteLog(def *xmltree.Node, vm *resource.VM) error {
	if path.Base(logPath(def)) != serialLog(vm) {
		return nil
	}
	return c.eachLog(def, func(vol *libvirt.StorageVol, part string) error {
		err := vol.Delete(0)
		if missing(err) {
			return nil
		}
		return fail(err, "delete %s", part)
	})
}

// tailSize and tailLines bound what of a serial log is shown.
const (
	tailSize  = 8 << 10
	tailLines = 20
)

var errEnough = errors.New("enough")

// serialTail gives the last lines that the guest wrote to its serial console; what cannot be read is left out.
func (c *call) serialTail(vm *resource.VM) string {
	dom, err := c.domain(vm)
	if err != nil {
		return ""
	}
	defer freeDomain(dom)
	def, err := domainTree(dom, 0)
	if err != nil {
		return ""
	}
	var tail []byte
	_ = c.eachLog(def, func(vol *libvirt.StorageVol, part string) error {
		if size, err := fileSize(vol); err == nil {
			tail = make([]byte, min(size, tailSize))
			if err := c.download(vol, uint64(size)-uint64(len(tail)), tail); err != nil {
				tail = nil
			}
		}
		return errEnough // the newest part is the first
	})
	return lastLines(tail, tailLines)
}

func lastLines(text []byte, n int) string {
	clean := bytes.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
	lines := strings.Split(strings.TrimSpace(string(clean)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Console implements drivers.Driver.
func (d *driver) Console(ctx context.Context, vm *resource.VM, in io.Reader, out io.Writer) error {
	if err := d.Can(drivers.AbilityConsole); err != nil {
		return fmt.Errorf("vm %s: %w", vm.Name, err)
	}
	s, err := d.session(ctx)
	if err != nil {
		return err
	}
	dom, err := s.conn.LookupDomainByName(vm.Name)
	if err != nil {
		return fail(err, "console of vm %s", vm.Name)
	}
	defer freeDomain(dom)
	stream, err := s.conn.NewStream(0)
	if err != nil {
		return fail(err, "console of vm %s", vm.Name)
	}
	defer func() { _ = stream.Free() }()
	if err := dom.OpenConsole("", stream, libvirt.DOMAIN_CONSOLE_FORCE); err != nil {
		return fail(err, "console of vm %s", vm.Name)
	}
	ends := make(chan error, 2)
	go func() { ends <- fail(toConsole(stream, in), "console of vm %s", vm.Name) }()
	go func() { ends <- fail(fromConsole(stream, out), "console of vm %s", vm.Name) }()
	select {
	case err = <-ends:
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = stream.Abort()
	return err
}

func toConsole(stream *libvirt.Stream, in io.Reader) error {
	buf := make([]byte, 1024)
	for {
		n, err := in.Read(buf)
		for sent := 0; sent < n; {
			k, err := stream.Send(buf[sent:n])
			if err != nil {
				return err
			}
			sent += k
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func fromConsole(stream *libvirt.Stream, out io.Writer) error {
	buf := make([]byte, 4096)
	for {
		n, err := stream.Recv(buf)
		if err != nil || n == 0 {
			return err
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return err
		}
	}
}
