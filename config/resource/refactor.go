package resource

import (
	"reflect"
	"strings"
)

// Move says that the object recorded at From is now called To. Both name one object, with its key and without a part: what
// it owns goes with it. Config gives the moves that apply to what is recorded: chains, whole blocks and whole modules are
// resolved, nothing is recorded at To, and To is among the desired objects.
type Move struct {
	From Addr `json:"from"`
	To   Addr `json:"to"`
}

// Removal says what happens to recorded objects whose blocks have gone. From names one, all instances of a block, or a
// module: what From.Contains.
type Removal struct {
	From Addr `json:"from"`
	// Cascade deletes them with what they own, whatever the vm's on_delete said, and a volume's only where From names the
	// volume itself; otherwise they are left as they are on the host, no longer managed.
	Cascade bool `json:"cascade"`
}

// Import says that the desired object at To exists on its host already, as ID: the name of a vm, network or pool, "pool/file"
// for an image, a volume or a disk that a vm owns. The object's Name, PoolName and File are those of ID already.
type Import struct {
	To Addr   `json:"to"`
	ID string `json:"id"`
}

// Rename gives a with from in it replaced by to, and tells whether from is in it: a itself, or a module or an instance of an
// appliance that it belongs to. whole: all instances of from are meant, and keep their keys.
func (a Addr) Rename(from, to Addr, whole bool) (Addr, bool) {
	if from.Kind != "" && a.Module == from.Module && a.Kind == from.Kind && a.Name == from.Name && (whole || a.Key == from.Key) {
		a.Module, a.Name = to.Module, to.Name
		if !whole {
			a.Key = to.Key
		}
		return a, true
	}
	rest, ok := strings.CutPrefix(a.Module, from.String())
	if !ok || rest != "" && rest[0] != '.' && (!whole || rest[0] != '[') {
		return a, false
	}
	a.Module = to.String() + rest
	return a, true
}

// Readdress gives a copy of r with every address in it, its own included, as rename says.
func Readdress[R Resource](r R, rename func(Addr) Addr) R {
	c := Clone(r)
	v := reflect.ValueOf(c).Elem()
	readdress(v, rename)
	c.Base().Addr = rename(c.Base().Addr)
	return c
}

func readdress(v reflect.Value, rename func(Addr) Addr) {
	for _, attr := range SchemaOf(v.Type()).Attrs {
		f := v.FieldByIndex(attr.Index)
		switch {
		case f.IsZero():
		case attr.Block == SingleBlock:
			readdress(f.Elem(), rename)
		case attr.Block == LabelledBlock:
			for i := range f.Len() {
				readdress(f.Index(i), rename)
			}
		case f.Type() == addrType:
			f.Set(reflect.ValueOf(rename(f.Interface().(Addr))))
		case f.Type() == reflect.SliceOf(addrType):
			for i := range f.Len() {
				f.Index(i).Set(reflect.ValueOf(rename(f.Index(i).Interface().(Addr))))
			}
		}
	}
}
