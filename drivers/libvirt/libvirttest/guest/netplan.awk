# Reads a network-config of version 2 as vmplan writes it, in block notation. For each interface with a MAC address it
# prints: MAC name=NAME dhcp=true|false addresses=A,B gateway=G
function flush() {
	if (mac != "") print mac, "name=" name, "dhcp=" dhcp, "addresses=" addresses, "gateway=" gateway
	mac = name = addresses = gateway = ""; dhcp = "false"; list = ""
}
function add(text) {
	gsub(/[\[\]" ]/, "", text)
	if (text != "" && list == "addresses") addresses = addresses (addresses == "" ? "" : ",") text
}
BEGIN { dhcp = "false" }
/^ *(#|$)/ { next }
{
	match($0, /^ */); indent = RLENGTH
	line = substr($0, indent + 1)
	if (line ~ /^ethernets:/) { inside = 1; top = indent; level = -1; next }
	if (!inside) next
	if (indent <= top) { flush(); inside = 0; next }
	if (level < 0) level = indent
	if (indent == level && line !~ /^-/) { flush(); next }
	if (line ~ /^- /) {
		item = substr(line, 3)
		if (item !~ /^[a-z]+:( |$)/) { add(item); next }
		line = item
	}
	key = line; sub(/:.*/, "", key)
	value = line; sub(/^[^:]*: */, "", value); gsub(/["']/, "", value)
	if (key == "nameservers") { names = indent; list = "" ; next }
	if (key == "addresses") { list = (names && indent > names) ? "" : "addresses"; add(value); next }
	if (indent <= names) names = 0
	if (key == "macaddress") mac = tolower(value)
	if (key == "set-name") name = value
	if (key == "dhcp4") dhcp = value
	if (key == "gateway4" || key == "via") gateway = value
}
END { if (inside) flush() }
