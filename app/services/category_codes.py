"""Category codes: the tree, read and changed by people. Every change makes what was said by the old tree stale."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.errors import CodeExists, CodeInUse, InvalidInput, NotFound
from app.knowledge.category_tree import Category, CategoryTree
from app.models.base import now
from app.models.classification import ClassificationCode, ModelVersion
from app.models.resource import Resource
from app.services import classifiers
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork

CODES_MAX = 2_000
"""A label has to be compared with every text."""


def tree(session: Session) -> CategoryTree:
    """All codes."""
    return CategoryTree(as_category(row) for row in session.scalars(select(ClassificationCode)))


def as_category(row: ClassificationCode) -> Category:
    """A row as the tree holds it."""
    return Category(code=row.code, parent=row.parent, label=row.label, description=row.description)


def create(library: Library, category: Category) -> Category:
    """A new code. Raises `CodeExists`, `InvalidInput` (no such parent, or too many codes)."""
    with library.work() as unit:
        classifiers.move_tree(unit.session)
        known = tree(unit.session)
        if category.code in known:
            raise CodeExists(f"there is a code {category.code} already")
        if len(known.categories) >= CODES_MAX:
            raise InvalidInput(f"there are {CODES_MAX} codes, and no room for more")
        _check_parent(known, category)
        unit.session.add(
            ClassificationCode(
                code=category.code, parent=category.parent, label=category.label, description=category.description
            )
        )
    return category


def change(library: Library, category: Category) -> Category:
    """Replace what is said of a code. Raises `NotFound`, `InvalidInput` (no such parent, or one below the code)."""
    with library.work() as unit:
        known = tree(unit.session)
        if known.categories.get(category.code) == category:
            return category
        classifiers.move_tree(unit.session)
        known = tree(unit.session)
        row = unit.session.get(ClassificationCode, category.code, populate_existing=True)
        if row is None:
            raise _unknown(category.code)
        _check_parent(known, category)
        row.parent, row.label, row.description = category.parent, category.label, category.description
        row.updated_at = now()
    return category


def restore(unit: UnitOfWork, category: Category, *, updated_at: datetime) -> None:
    """A code as an archive has it, since `updated_at`, new or in the place of what is said of it here.

    Raises `InvalidInput` as `create` and `change` do. The caller has moved the tree.
    """
    known = tree(unit.session)
    if category.code not in known and len(known.categories) >= CODES_MAX:
        raise InvalidInput(f"there are {CODES_MAX} codes, and no room for more")
    _check_parent(known, category)
    row = unit.session.get(ClassificationCode, category.code) or ClassificationCode(code=category.code)
    row.parent, row.label, row.description = category.parent, category.label, category.description
    row.updated_at = updated_at
    unit.session.add(row)


def delete(library: Library, code: str) -> None:
    """Remove a code that nobody needs. Raises `NotFound`, `CodeInUse`.

    What only a model has put there is judged anew without it.
    """
    with library.work() as unit:
        classifiers.move_tree(unit.session)
        delete_within(unit, code)


def delete_within(unit: UnitOfWork, code: str) -> None:
    """`delete`, as part of a transaction that has moved the tree."""
    row = unit.session.get(ClassificationCode, code, with_for_update=True)
    if row is None:
        raise _unknown(code)
    if tree(unit.session).children(code):
        raise CodeInUse(f"{code} has codes below it")
    decided = exists().where(Resource.classification_code == code, Resource.deleted_at.is_(None))
    if unit.session.scalar(select(decided)):
        raise CodeInUse(f"people have put documents into {code}")
    taught = unit.session.scalars(select(ModelVersion.label_counts).where(ModelVersion.is_active)).one_or_none()
    if taught and code in taught:
        raise CodeInUse(f"the classification model in force knows {code}")
    unit.session.delete(row)


def hold(session: Session, code: str) -> None:
    """Nobody removes this code until the commit. `InvalidInput` when there is none."""
    held = select(ClassificationCode.code).where(ClassificationCode.code == code).with_for_update(read=True)
    if session.scalar(held) is None:
        raise InvalidInput(f"there is no classification code {code}")


def _check_parent(known: CategoryTree, category: Category) -> None:
    if category.parent is None:
        return
    if category.parent not in known and category.parent != category.code:
        raise InvalidInput(f"there is no classification code {category.parent}")
    if category.parent == category.code or category.code in known.path(category.parent):
        raise InvalidInput(f"{category.parent} is below {category.code}, and cannot be above it too")


def _unknown(code: str) -> NotFound:
    return NotFound(f"there is no classification code {code}")
