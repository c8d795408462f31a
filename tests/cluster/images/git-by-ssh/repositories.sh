# Makes code.git (main, and its first commit as v1) with the submodule library.git, in the given folder.
export GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@localhost GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@localhost
git config --global init.defaultBranch main
git config --global protocol.file.allow always
work=$(mktemp -d)
for name in library code; do
  git init -q --bare "$1/$name.git"
  git init -q "$work/$name"
done
cd "$work/library"
echo "from the library" > lib.txt
git add . && git commit -q -m library && git push -q "$1/library.git" main
cd "$work/code"
echo one > main.txt
git add . && git commit -q -m one && git tag v1
git submodule --quiet add "$1/library.git" library
# A relative URL, as hosts have it: the submodule comes by the same way as the code.
git config --file .gitmodules submodule.library.url ../library.git
echo two > main.txt
git add . && git commit -q -m two && git push -q "$1/code.git" main v1
rm -rf "$work" "$HOME/.gitconfig"
