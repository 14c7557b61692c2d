package config

import "vmplan.dev/vmplan/config/resource"

// defaultsOf gives what an object's host decides where the files say nothing, also before all objects are placed.
func (e *evaluator) defaultsOf(o *object) resource.HostDefaults {
	host := o.res.Base().Host
	for sc := o.scope; sc != nil && host == ""; sc = sc.parent {
		host = sc.host
	}
	return e.hostDefaults(host)
}

// hostDefaults gives what the host with a label decides; of an empty label, the default host.
func (e *evaluator) hostDefaults(label string) resource.HostDefaults {
	if known, ok := e.decided[label]; ok {
		return known
	}
	uri := ""
	for _, o := range e.objects {
		h, ok := o.res.(*resource.Host)
		if ok && (h.Label() == label || label == "" && (uri == "" || h.Default)) {
			uri = h.URI
		}
	}
	var found resource.HostDefaults
	if e.project.opts.Defaults != nil {
		found = e.project.opts.Defaults(uri)
	}
	e.decided[label] = found
	return found
}
