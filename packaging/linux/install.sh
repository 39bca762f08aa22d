#!/bin/sh
# Add MaskTwins to the applications menu of this user: install.sh PROGRAM
# Files go below $XDG_DATA_HOME (~/.local/share); delete them to take the entry out of the menu again.
set -eu
program=$1
here=$(cd "$(dirname "$0")" && pwd)
data=${XDG_DATA_HOME:-$HOME/.local/share}

if [ ! -x "$program" ]; then
    echo "$program does not exist; run make run first, which installs it." >&2
    exit 1
fi
mkdir -p "$data/applications" "$data/icons/hicolor/scalable/apps" "$data/metainfo"
cp "$here/../../resources/icons/logo.svg" "$data/icons/hicolor/scalable/apps/masktwins.svg"
cp "$here/masktwins.metainfo.xml" "$data/metainfo/masktwins.metainfo.xml"
sed "s|^Exec=masktwins|Exec=\"$program\"|" "$here/masktwins.desktop" > "$data/applications/masktwins.desktop"
echo "MaskTwins is in the applications menu now ($data/applications/masktwins.desktop)."
