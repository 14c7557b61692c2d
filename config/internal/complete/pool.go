package complete

import (
	"path/filepath"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

// Pool completes and checks a pool alone. The folders are those that the host keeps for itself.
func Pool(src Source, p *resource.Pool, ownFolders []string) {
	if !p.IsManaged() {
		return
	}
	OrElse(&p.Type, "dir")
	OrTrue(&p.Autostart)
	switch {
	case src.Wrong("path"):
	case p.Path == "":
		src.Mistake("", "Missing attribute", "%s needs path, the folder on its host. For a pool that exists already write managed = false.", p.Addr)
		src.Fail("path")
	case !strings.HasPrefix(p.Path, "/"):
		src.Mistake("path", "Bad path", "%q is not a folder of the host: begin it with /.", p.Path)
		src.Fail("path")
	default:
		p.Path = filepath.ToSlash(filepath.Clean(p.Path))
		if systemFolder(p.Path) || slices.Contains(ownFolders, p.Path) {
			src.Mistake("path", "Bad path", "%s belongs to the host's system: every file in a pool's folder counts as a volume. Choose a folder of the pool's own, such as /srv/%s.", p.Path, p.Addr.Name)
			src.Fail("path")
		}
	}
}

// systemFolders are none of a pool's, though what is below them may be; in the last three nothing is.
var systemFolders = strings.Fields("/ /bin /boot /etc /home /lib /lib32 /lib64 /root /run /sbin /tmp /usr /var /var/lib /var/tmp /dev /proc /sys")

func systemFolder(path string) bool {
	inKernels := slices.ContainsFunc([]string{"/dev/", "/proc/", "/sys/"}, func(p string) bool { return strings.HasPrefix(path, p) })
	return inKernels || slices.Contains(systemFolders, path)
}
