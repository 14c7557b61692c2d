package config

import (
	"strings"

	"vmplan.dev/vmplan/config/catalogue"
	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// hardware fills in size and models of a vm: see complete.Hardware.
func (e *evaluator) hardware(sc *scope, vm *resource.VM) complete.Preference {
	hw := complete.Hardware{Image: e.imageAt(vm.Image)}
	if hw.Image != nil {
		complete.OrElse(&vm.Instancetype, hw.Image.Instancetype)
		complete.OrElse(&vm.Preference, hw.Image.Preference)
	}
	if o := e.byID[vm.Instancetype]; o != nil {
		hw.Instancetype = o.value.(*complete.Instancetype)
	}
	for _, id := range []string{sc.preferenceID(complete.DefaultPreference), vm.Preference} {
		if o := e.byID[id]; o != nil {
			hw.Preferences = append(hw.Preferences, o.value.(*complete.Preference))
		}
	}
	return hw.Complete(vm)
}

// imageAt gives the image at a, or nil.
func (e *evaluator) imageAt(a resource.Addr) *resource.Image {
	if o := e.imageObject(a); o != nil {
		return o.res.(*resource.Image)
	}
	return nil
}

// imageObject gives the image at a, or nil.
func (e *evaluator) imageObject(a resource.Addr) *object {
	if a.IsZero() {
		return nil
	}
	return e.byID[a.String()]
}

// preferenceID gives the id of the preference called name: a block that the scope sees, or the built-in one. It is empty when
// there is none, or several.
func (sc *scope) preferenceID(name string) string {
	r := reference{root: string(kindPreference), name: name}
	in := sc.declaring(r)
	if in == nil {
		if isBuiltin(r.String()) {
			return builtinPrefix + r.String()
		}
		return ""
	}
	b := in.mod.blocks.byName[r.String()]
	if objects, ok := in.decodeBlock(b, b.header); ok && b.repeat.single() {
		return objects[0].id
	}
	return ""
}

// completeOS chooses the preference for the operating system of an image that names none.
func (e *evaluator) completeOS(o *object, img *resource.Image) {
	if img.OS == "" && catalogue.IsName(img.Source) {
		if guess := strings.NewReplacer(":", "", "@", "-").Replace(img.Source); complete.OSFamily(guess) != "" {
			img.OS = guess
		}
	}
	if img.OS == "" || img.Preference != "" || o.bad["preference"] || o.bad["os"] {
		return
	}
	for _, name := range []string{img.OS, complete.OSFamily(img.OS)} {
		if id := o.scope.preferenceID(name); name != "" && id != "" {
			img.Preference = id
			return
		}
	}
	e.rep.addFirst(mistake(o.at("os"), "Unknown operating system", "No preference is known for %q.%s Name one yourself (preference = preference.linux), or declare preference %q { … }.", img.OS, didYouMean(strings.TrimRight(img.OS, "0123456789.-"), complete.OSNames()), img.OS))
}

// title is what messages call an instancetype or preference.
func (o *object) title() string {
	text := string(o.addr.Kind) + "." + o.addr.Name + o.addr.Key
	if o.block == nil {
		return text + " (built in)"
	}
	return text + " (" + place(o.block.header) + ")"
}
