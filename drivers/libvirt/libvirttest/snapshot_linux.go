package libvirttest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Snapshot is all that is on a host, a line each, in order.
type Snapshot []string

// Diff lists what the other snapshot lacks ("- ") and what it has in addition ("+ ").
func (s Snapshot) Diff(after Snapshot) []string {
	var lines []string
	for _, line := range s {
		if !slices.Contains(after, line) {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range after {
		if !slices.Contains(s, line) {
			lines = append(lines, "+ "+line)
		}
	}
	return lines
}

// Snapshot lists the host's domains with their state, networks, pools, volumes, network interfaces, and the files under
// libvirt's folders and those of the pools with their sizes. Logs and caches are left out.
func (h *Host) Snapshot() (Snapshot, error) {
	var lines Snapshot
	for _, list := range []func() ([]string, error){h.domains, h.networks, h.storage, h.interfaces} {
		more, err := list()
		if err != nil {
			return nil, fmt.Errorf("list what is on the private libvirt host: %w", err)
		}
		lines = append(lines, more...)
	}
	slices.Sort(lines)
	return slices.Compact(lines), nil
}

// Traces lists what may outlive everything that libvirt tells of: the host's network interfaces, and the files under libvirt's
// folders and more.
func (h *Host) Traces(more ...string) (interfaces, files []string, err error) {
	if interfaces, err = h.interfaces(); err != nil {
		return nil, nil, err
	}
	files, err = listFiles(append(h.folders(), more...))
	return interfaces, files, err
}

func (h *Host) folders() []string {
	return []string{filepath.Join(h.Dir, "lib"), filepath.Join(h.Dir, "etc")}
}

func (h *Host) domains() ([]string, error) {
	names, err := h.virsh("list", "--all", "--name")
	for i, name := range names {
		state, err := h.virsh("domstate", "--domain", name)
		if err != nil {
			return nil, err
		}
		names[i] = fmt.Sprintf("domain %s: %s", name, strings.Join(state, " "))
	}
	return names, err
}

func (h *Host) networks() ([]string, error) {
	names, err := h.virsh("net-list", "--all", "--name")
	for i, name := range names {
		names[i] = "network " + name
	}
	return names, err
}

func (h *Host) interfaces() ([]string, error) {
	out, err := h.Command("ls", "/sys/class/net").Output()
	if err != nil {
		return nil, err
	}
	names := strings.Fields(string(out))
	for i, name := range names {
		names[i] = "interface " + name
	}
	return names, nil
}

var targetPath = regexp.MustCompile(`<path>([^<]*)</path>`)

// storage lists pools, volumes and files.
func (h *Host) storage() ([]string, error) {
	folders := h.folders()
	pools, err := h.virsh("pool-list", "--all", "--name")
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, name := range pools {
		lines = append(lines, "pool "+name)
		xml, err := h.virsh("pool-dumpxml", "--pool", name)
		if err != nil {
			return nil, err
		}
		if m := targetPath.FindStringSubmatch(strings.Join(xml, "\n")); m != nil && !strings.HasPrefix(m[1], "/var/lib/libvirt/") {
			folders = append(folders, m[1])
		}
		volumes, err := h.virsh("vol-list", "--pool", name)
		if err != nil {
			continue // a pool that is off: its files are listed all the same
		}
		for _, line := range volumes {
			lines = append(lines, fmt.Sprintf("volume %s/%s", name, strings.Fields(line)[0]))
		}
	}
	files, err := listFiles(folders)
	return append(lines, files...), err
}

// virsh gives the lines that a command prints, without the empty ones.
func (h *Host) virsh(args ...string) ([]string, error) {
	cmd := h.Command("virsh", append([]string{"--quiet", "--connect", h.URI}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("virsh %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// listFiles lists the files below folders, which need not exist. Sockets and empty folders come and go with daemons.
func listFiles(folders []string) ([]string, error) {
	var lines []string
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !(entry.Type().IsRegular() || entry.Type()&fs.ModeSymlink != 0) {
				return ignoreGone(err)
			}
			info, err := entry.Info()
			if err == nil {
				lines = append(lines, fmt.Sprintf("file %s %d bytes", path, info.Size()))
			}
			return ignoreGone(err)
		})
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
