// Package linkerd translates Linkerd's ServiceProfiles, the annotations of its
// Services and its own HTTPRoutes.
//
// A ServiceProfile in the namespace of its service binds all clients, one in
// another namespace the clients of that namespace, for whom it takes the place
// of the former. Routes of profiles and annotations of Services are overlays:
// they add to whatever decides where requests go. dstOverrides and HTTPRoutes
// decide that themselves.
package linkerd
