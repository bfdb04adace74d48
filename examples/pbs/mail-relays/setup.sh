#!/bin/bash
# Makes what the mail-relays job needs: the login records here, and your two images on this machine's engine.
#
#   ./setup.sh             everything
#   ./setup.sh records     only logins.bson
#   ./setup.sh images      only the images
#
# MONGODB=standin builds the stand-in for MongoDB, where https://repo.mongodb.org cannot be reached.
# ENGINE=podman builds with Podman. BUILD_ARGS are more arguments for the builds, such as "--network host".
# FOR_USER, FOR_UID and FOR_GID are whom the images are for, if not for you.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
images=$here/../../../docker_images

user=${FOR_USER:-$(id -un)}
uid=${FOR_UID:-$(id -u)}
gid=${FOR_GID:-${FOR_UID:-$(id -g)}}

build() { # NAME ARGUMENTS: the image dgrid.NAME
    # shellcheck disable=SC2086
    "${ENGINE:-docker}" build ${BUILD_ARGS:-} --build-arg "USER=$user" --build-arg "UID=$uid" --build-arg "GID=$gid" \
        --tag "localhost/$user/dgrid.$1" "${@:2}"
}

make_records() {
    python3 "$here/make_logins.py" > "$here/logins.bson"
    echo "setup.sh: made $here/logins.bson"
}

make_images() {
    build pyssh "$images/pyssh"
    case "${MONGODB:-real}" in
        real)
            build mongodb "$images/dgrid.mongodb" || {
                echo "setup.sh: the image with MongoDB was not built. Where https://repo.mongodb.org cannot be" \
                     "reached, MONGODB=standin $0 builds a stand-in, which is not MongoDB" >&2
                exit 1
            } ;;
        standin)
            echo "setup.sh: building dgrid's stand-in for MongoDB, not MongoDB"
            build mongodb --file "$images/dgrid.mongodb/Dockerfile.standin" "$images/dgrid.mongodb" ;;
        *) echo "setup.sh: MONGODB is '$MONGODB'; it can be real or standin" >&2; exit 2 ;;
    esac
}

case "${1:-all}" in
    records) make_records ;;
    images) make_images ;;
    all) make_records; make_images ;;
    *) echo "setup.sh: '$1' is neither records nor images" >&2; exit 2 ;;
esac
